// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/exec/pickle.hpp"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <map>
#include <optional>

namespace gabra::exec {
namespace {

constexpr std::size_t kMostValues = 10'000'000;

/// A stack machine over the bytes; everything it makes lives in the Pickle.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& place) : bytes_(bytes), place_(place) {}

  Pickle read() {
    while (!is_stopped_) step(static_cast<unsigned char>(take(1).front()));
    pickle_.root = pop();
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail(const std::string& seen) const {
    throw_input_error(place_, fmt::format("{} at byte {} of its pickle", seen, at_),
                      "tensors by name, as torch.save(model.state_dict()) writes them");
  }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) fail("the end of the data");
    const std::string_view result = bytes_.substr(at_, count);
    at_ += count;
    return result;
  }

  std::uint64_t number(std::size_t width) {
    std::uint64_t value = 0;
    const std::string_view text = take(width);
    for (std::size_t i = width; i-- > 0;) value = (value << 8U) | static_cast<unsigned char>(text[i]);
    return value;
  }

  std::string line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("the end of the data");
    std::string text(take(end - at_));
    ++at_;
    return text;
  }

  PickleIndex make(PickleValue value) {
    if (pickle_.values.size() >= kMostValues) fail("more values than any model has");
    pickle_.values.push_back(std::move(value));
    return pickle_.values.size() - 1;
  }
  void push(PickleValue value) { stack_.push_back(make(std::move(value))); }

  PickleIndex pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) fail("an empty stack");
    const PickleIndex top = stack_.back();
    stack_.pop_back();
    return top;
  }

  std::vector<PickleIndex> pop_to_mark() {
    if (marks_.empty()) fail("no mark on the stack");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleIndex> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  /// The value below what was popped, of type T.
  template <class T>
  T& top(const char* what) {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) fail("an empty stack");
    T* value = std::get_if<T>(&pickle_.values[stack_.back()]);
    if (value == nullptr) fail(fmt::format("something else than {}", what));
    return *value;
  }

  template <class T>
  const T& as(PickleIndex index, const char* what) const {
    const T* value = std::get_if<T>(&pickle_.values[index]);
    if (value == nullptr) fail(fmt::format("something else than {}", what));
    return *value;
  }

  void push_tuple(std::size_t count) {
    PickleTuple tuple;
    tuple.items.resize(count);
    for (std::size_t i = count; i-- > 0;) tuple.items[i] = pop();
    push(std::move(tuple));
  }

  void set_items(const std::vector<PickleIndex>& items) {
    if (items.size() % 2 != 0) fail("a key without a value");
    auto& dictionary = top<PickleDictionary>("a dictionary");
    for (std::size_t i = 0; i < items.size(); i += 2) dictionary.items.emplace_back(items[i], items[i + 1]);
  }

  void append(const std::vector<PickleIndex>& items) {
    auto& list = top<PickleList>("a list").items;
    list.insert(list.end(), items.begin(), items.end());
  }

  void remember(std::uint64_t key) {
    if (stack_.empty()) fail("an empty stack");
    memory_[key] = stack_.back();
  }

  void recall(std::uint64_t key) {
    const auto found = memory_.find(key);
    if (found == memory_.end()) fail("a reference to nothing");
    stack_.push_back(found->second);
  }

  /// ("storage", storage type, key, device, elements)
  void push_storage() {
    const PickleTuple tuple = as<PickleTuple>(pop(), "a tuple");
    if (tuple.items.size() != 5 || as<std::string>(tuple.items[0], "a text") != "storage") fail("no storage");
    const auto& type = as<PickleName>(tuple.items[1], "a type of storage");
    if (type.module != "torch") fail("a storage of " + in_quotes(type.module));
    push(PickleStorage{type.name, as<std::string>(tuple.items[2], "a text"),
                       as<std::int64_t>(tuple.items[4], "a number of elements")});
  }

  std::vector<std::int64_t> integers(PickleIndex index) const {
    std::vector<std::int64_t> result;
    for (const PickleIndex item : as<PickleTuple>(index, "a tuple").items)
      result.push_back(as<std::int64_t>(item, "a whole number"));
    return result;
  }

  void call() {
    const PickleTuple arguments = as<PickleTuple>(pop(), "a tuple of arguments");
    const PickleName name = as<PickleName>(pop(), "a name to call");
    const std::string full = name.module + "." + name.name;
    if (full == "collections.OrderedDict" && arguments.items.empty()) {
      push(PickleDictionary{});
    } else if (full == "torch._utils._rebuild_tensor_v2" && arguments.items.size() >= 4) {
      push(PickleTensor{as<PickleStorage>(arguments.items[0], "a storage"),
                        as<std::int64_t>(arguments.items[1], "an offset"), integers(arguments.items[2]),
                        integers(arguments.items[3])});
    } else if (full == "torch._utils._rebuild_parameter" && !arguments.items.empty()) {
      push(PickleTensor(as<PickleTensor>(arguments.items[0], "a tensor")));
    } else {
      fail("a call of " + in_quotes(full));
    }
  }

  void step(unsigned char opcode) {
    if (!push_constant(opcode) && !use_memory(opcode) && !build(opcode))
      fail(fmt::format("the operation 0x{:02x}", opcode));
  }

  bool push_constant(unsigned char opcode) {
    switch (opcode) {
      case 'N':
        push(std::monostate{});
        return true;
      case 0x88:
        push(true);
        return true;
      case 0x89:
        push(false);
        return true;
      case 'K':
        push(static_cast<std::int64_t>(number(1)));
        return true;
      case 'M':
        push(static_cast<std::int64_t>(number(2)));
        return true;
      case 'J':
        push(std::int64_t{static_cast<std::int32_t>(static_cast<std::uint32_t>(number(4)))});
        return true;
      case 0x8a:
        push(long_integer(number(1)));
        return true;
      case 'G':
        push(big_endian_double());
        return true;
      case 'X':
        push(std::string(take(number(4))));
        return true;
      case 0x8c:
        push(std::string(take(number(1))));
        return true;
      case 0x8d:
        push(std::string(take(number(8))));
        return true;
      case ')':
        push(PickleTuple{});
        return true;
      case ']':
        push(PickleList{});
        return true;
      case '}':
        push(PickleDictionary{});
        return true;
      default:
        return false;
    }
  }

  std::int64_t long_integer(std::uint64_t width) {
    if (width > 8) fail("a whole number of more than 64 bits");
    if (width == 0) return 0;
    std::uint64_t value = number(width);
    const std::uint64_t bits = 8 * width;
    if (bits < 64 && ((value >> (bits - 1)) & 1U) != 0) value |= ~std::uint64_t{0} << bits;
    return static_cast<std::int64_t>(value);
  }

  double big_endian_double() {
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = (bits << 8U) | static_cast<unsigned char>(c);
    return std::bit_cast<double>(bits);
  }

  bool use_memory(unsigned char opcode) {
    switch (opcode) {
      case 'q':
        remember(number(1));
        return true;
      case 'r':
        remember(number(4));
        return true;
      case 0x94:
        remember(memory_.size());
        return true;
      case 'h':
        recall(number(1));
        return true;
      case 'j':
        recall(number(4));
        return true;
      default:
        return false;
    }
  }

  bool build(unsigned char opcode) {
    switch (opcode) {
      case 0x80:
        take(1);
        return true;  // protocol
      case 0x95:
        take(8);
        return true;  // frame
      case '.':
        is_stopped_ = true;
        return true;
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case 't':
        push(PickleTuple{pop_to_mark()});
        return true;
      case 0x85:
        push_tuple(1);
        return true;
      case 0x86:
        push_tuple(2);
        return true;
      case 0x87:
        push_tuple(3);
        return true;
      case 'a':
        append({pop()});
        return true;
      case 'e':
        append(pop_to_mark());
        return true;
      case 'u':
        set_items(pop_to_mark());
        return true;
      case 's':
        set_item();
        return true;
      case 'c':
        push_name();
        return true;
      case 0x93:
        push_stacked_name();
        return true;
      case 'Q':
        push_storage();
        return true;
      case 'R':
        call();
        return true;
      case 'b':
        pop();
        (void)top<PickleDictionary>("a dictionary");
        return true;  // its attributes: _metadata
      default:
        return false;
    }
  }

  void set_item() {
    const PickleIndex value = pop();
    const PickleIndex key = pop();
    set_items({key, value});
  }

  void push_name() {
    std::string module = line();
    push(PickleName{std::move(module), line()});
  }

  void push_stacked_name() {
    const PickleIndex name = pop();
    const PickleIndex module = pop();
    push(PickleName{as<std::string>(module, "a text"), as<std::string>(name, "a text")});
  }

  std::string_view bytes_;
  const std::string& place_;
  std::size_t at_ = 0;
  bool is_stopped_ = false;
  Pickle pickle_;
  std::vector<PickleIndex> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, PickleIndex> memory_;
};

}  // namespace

const PickleValue* Pickle::find(const PickleValue& holder, std::string_view key) const {
  const auto* dictionary = std::get_if<PickleDictionary>(&holder);
  if (dictionary == nullptr) return nullptr;
  for (const auto& item : dictionary->items) {
    const auto* text = std::get_if<std::string>(&values[item.first]);
    if (text != nullptr && *text == key) return &values[item.second];
  }
  return nullptr;
}

Pickle parse_pickle(std::string_view bytes, const std::string& place) { return Reader(bytes, place).read(); }

}  // namespace gabra::exec
