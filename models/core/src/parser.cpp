// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace gabra::json {
namespace {

/// A number too large for a double. nlohmann::json gives up at the first; so that all are reported, each is replaced by
/// a null (they are five characters long at least, "1e309").
struct ReplacedNumber {
  std::size_t null_ordinal;  ///< which null of the text it became, counted from 0
  std::string text;
};

std::vector<ReplacedNumber> replace_huge_numbers(std::string& text) {
  constexpr std::string_view kNumberCharacters = "+-.0123456789Ee";
  std::vector<ReplacedNumber> result;
  std::size_t nulls = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      ++i;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::size_t end = std::min(text.find_first_not_of(kNumberCharacters, i), text.size());
      const std::string number = text.substr(i, end - i);
      if (!std::isfinite(std::strtod(number.c_str(), nullptr))) {
        result.push_back({nulls++, number});
        text.replace(i, number.size(), "null" + std::string(number.size() - 4, ' '));
      }
      i = end;
    } else {
      if (c == 'n') ++nulls;
      ++i;
    }
  }
  return result;
}

/// Digits need no quotes, but a limit.
std::string shortened(const std::string& number) {
  constexpr std::size_t kMost = 60;
  return number.size() <= kMost ? number : number.substr(0, kMost) + "...";
}

/// Builds the value itself so that duplicate keys and deep nesting are seen where they occur.
class Builder {
 public:
  using number_integer_t = Value::number_integer_t;
  using number_unsigned_t = Value::number_unsigned_t;
  using number_float_t = Value::number_float_t;
  using string_t = Value::string_t;
  using binary_t = Value::binary_t;

  /// `replaced` are the numbers that do not fit a double, each now a null in `text`.
  Builder(std::string_view text, const std::string& name, const std::vector<ReplacedNumber>& replaced,
          FaultList& faults)
      : text_(text), name_(name), replaced_(replaced), faults_(faults) {}

  bool null() {
    const std::size_t ordinal = null_count_++;
    if (next_replaced_ == replaced_.size() || replaced_[next_replaced_].null_ordinal != ordinal) return put(nullptr);
    faults_.add(place().text(), "the number " + shortened(replaced_[next_replaced_++].text), "a finite number");
    return put(1);  // most ranges admit it, so that the field is not reported a second time
  }
  bool boolean(bool value) { return put(value); }
  bool number_integer(number_integer_t value) { return put(value); }
  bool number_unsigned(number_unsigned_t value) { return put(value); }
  bool number_float(number_float_t value, const string_t&) { return put(value); }
  bool string(string_t& value) { return put(std::move(value)); }
  bool binary(binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Value::object()); }
  bool start_array(std::size_t) { return open(Value::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(string_t& name) {
    Frame& top = stack_.back();
    top.key = name;
    top.is_duplicate = !top.keys.insert(name).second;
    if (top.is_duplicate) faults_.add(place().text(), "the field twice", "each field once");
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string& token, const Exception& exception) {
    has_overflow_ = exception.id == kNumberOverflow;
    const std::size_t begin = begin_of_token(position, token);
    const auto before = text_.substr(0, begin);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    const std::size_t column = newline == std::string_view::npos ? begin + 1 : begin - newline;
    faults_.add(fmt::format("{}: line {}, column {}", name_, line, column),
                begin == text_.size() ? "the end of the file" : in_quotes(text_.substr(begin, position - begin)),
                "JSON");
    return false;
  }

  [[nodiscard]] Value take() { return std::move(root_); }
  [[nodiscard]] bool has_overflow() const { return has_overflow_; }  ///< a number that does not fit ended the parsing

 private:
  static constexpr int kNumberOverflow = 406;  // nlohmann::json's id of that error

  struct Frame {
    Value value;
    std::string key;
    std::set<std::string, std::less<>> keys;
    bool is_duplicate = false;
  };

  /// Where the token begins whose last character is the `position`th of the text. (`token` is right for a string only:
  /// before a single character it has what came before as well.)
  [[nodiscard]] std::size_t begin_of_token(std::size_t position, const std::string& token) const {
    if (position == 0 || position > text_.size()) return text_.size();
    std::size_t begin = position - 1;
    if (text_[begin] == '"') return position - std::min(position, token.size());
    const auto is_word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.';
    };
    if (is_word(text_[begin]))
      while (begin > 0 && is_word(text_[begin - 1])) --begin;
    return begin;
  }
  [[nodiscard]] Place place() const {
    Place result(name_);
    for (const Frame& frame : stack_)
      result = frame.value.is_array() ? result.item(frame.value.size()) : result.key(frame.key);
    return result;
  }
  bool open(Value empty) {
    if (static_cast<int>(stack_.size()) >= kMostDepth) {
      faults_.add(place().text(), fmt::format("more than {} levels of nesting", kMostDepth),
                  fmt::format("at most {} levels", kMostDepth));
      return false;
    }
    stack_.push_back({std::move(empty), {}, {}, false});
    return true;
  }
  bool close() {
    Value done = std::move(stack_.back().value);
    stack_.pop_back();
    return put(std::move(done));
  }
  template <class T>
  bool put(T&& value) {
    if (stack_.empty()) {
      root_ = std::forward<T>(value);
    } else if (Frame& top = stack_.back(); top.value.is_array()) {
      top.value.push_back(std::forward<T>(value));
    } else if (!top.is_duplicate) {
      // Not operator[]: it searches the fields one by one, which is quadratic in a large object.
      top.value.get_ref<Value::object_t&>().emplace_back(top.key, std::forward<T>(value));
    }
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  const std::vector<ReplacedNumber>& replaced_;
  FaultList& faults_;
  std::size_t next_replaced_ = 0;
  std::size_t null_count_ = 0;
  bool has_overflow_ = false;
  Value root_;
  std::vector<Frame> stack_;
};

}  // namespace

Value parse(std::string_view text, const std::string& name, FaultList& faults) {
  FaultList found;
  const std::vector<ReplacedNumber> none;
  Builder builder(text, name, none, found);
  if (Value::sax_parse(text.begin(), text.end(), &builder)) {
    faults.append(found);
    return builder.take();
  }
  if (!builder.has_overflow()) {
    faults.append(found);
    return nullptr;
  }
  std::string repaired(text);
  const std::vector<ReplacedNumber> replaced = replace_huge_numbers(repaired);
  Builder second(repaired, name, replaced, faults);
  if (!Value::sax_parse(repaired.begin(), repaired.end(), &second)) return nullptr;
  return second.take();
}

}  // namespace gabra::json
