// SPDX-License-Identifier: MIT
#include "application.hpp"

#include "commands.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <functional>
#include <memory>

namespace gabra::cli {
namespace {

/// A command of the tree, with what runs it.
struct Command {
  CLI::App* app;
  std::unique_ptr<FlagSet> flags;
  std::function<int(const FlagSet&)> run;
};

class CommandTree {
 public:
  CommandTree(char** arguments, const Executable& executable)
      : arguments_(arguments),
        run_sim_(executable.run_sim_command),
        run_exec_(executable.run_exec_command),
        app_("Searches, simulates, trains and explains placements of neural networks on several GPUs.",
             executable.name) {
    app_.set_version_flag("--version", executable.name + " " + GABRA_VERSION);
    app_.allow_extras();
    app_.get_formatter()->column_width(32);
    app_.footer("Exit status: 0 done, 2 bad input, 3 device or communication failure, 4 no feasible plan.");
    if (run_sim_ != nullptr) add_sim_commands();
    if (run_exec_ != nullptr) add_exec_commands();
    if (executable.serves_measurements)
      add(app_, "measure", "measure plans that come in as lines, on the ranks of this job", &add_measure_flags,
          exec(ExecCommand::Measure));
    add_describe_commands();
    add(app_, "zoo", "networks and clusters that are built in", &add_zoo_flags, &run_zoo);
  }

  int run(int argument_count) {
    try {
      app_.parse(argument_count, arguments_);
    } catch (const CLI::Success& success) {  // --help, --version
      return app_.exit(success) == 0 ? kDone : kBadInput;
    } catch (const CLI::ParseError& error) {
      throw_parse_error(error.what());
    }
    for (const Command& command : commands_)
      if (command.app->parsed()) {
        command.flags->set_faults(extra_faults(*command.app, command.flags->names()));
        return command.run(*command.flags);
      }
    return report_missing_command();
  }

 private:
  using AddFlags = void (*)(FlagSet&);

  void add_sim_commands() {
    add(app_, "optimize", "search the best plan for a network on a cluster", &add_optimize_flags,
        sim(SimCommand::Optimize));
    add(app_, "simulate", "predict one training step of a plan, or one collective", &add_simulate_flags,
        sim(SimCommand::Simulate));
    add(app_, "validate", "run plans and simulate them: predicted and measured, side by side", &add_validate_flags,
        sim(SimCommand::Validate));
    add(app_, "worker", "evaluate plans that come in on stdin, for optimize --jobs and --ray", &add_worker_flags,
        sim(SimCommand::Worker));
  }

  void add_exec_commands() {
    add(app_, "train", "train a network by a plan, one process for each device", &add_train_flags,
        exec(ExecCommand::Train));
    add(app_, "predict", "probabilities of scans by a trained network", &add_predict_flags, exec(ExecCommand::Predict));
    add(app_, "calibrate", "measure this machine, or read others' tables: a cluster and times of layers",
        &add_calibrate_flags, exec(ExecCommand::Calibrate));
    add(app_, "explain", "where in a scan a trained network looks (Grad-CAM)", &add_explain_flags,
        exec(ExecCommand::Explain));
  }

  void add_describe_commands() {
    CLI::App* describe = app_.add_subcommand("describe", "show a network, a cluster, a plan or its program");
    describe->allow_extras();
    describe_ = describe;
    add(*describe, "network", "layers and units with shapes and costs", &add_describe_network_flags,
        &run_describe_network);
    add(*describe, "cluster", "devices, links and bandwidths", &add_describe_cluster_flags,
        [this](const FlagSet& flags) {
          if (run_sim_ != nullptr && describe_cluster_needs_simulator(flags))
            return run_sim_(SimCommand::DescribeCluster, flags, arguments_);
          return run_describe_cluster(flags, nullptr, nullptr);
        });
    add(*describe, "plan", "stages, devices and memory", &add_describe_plan_flags, &run_describe_plan);
    add(*describe, "program", "instructions of every device and stream", &add_describe_program_flags,
        &run_describe_program);
  }

  std::function<int(const FlagSet&)> sim(SimCommand command) {
    return [this, command](const FlagSet& flags) { return run_sim_(command, flags, arguments_); };
  }

  std::function<int(const FlagSet&)> exec(ExecCommand command) {
    return [this, command](const FlagSet& flags) { return run_exec_(command, flags, arguments_); };
  }

  void add(CLI::App& parent, const std::string& name, const std::string& meaning, AddFlags add_flags,
           std::function<int(const FlagSet&)> run) {
    CLI::App* app = parent.add_subcommand(name, meaning);
    app->allow_extras();
    auto flags = std::make_unique<FlagSet>(*app);
    add_flags(*flags);
    commands_.push_back({app, std::move(flags), std::move(run)});
  }

  /// CLI11 says "--seed: 1 required NUMBER missing".
  [[noreturn]] static void throw_parse_error(const std::string& text) {
    const std::size_t colon = text.find(':');
    if (text.starts_with("-") && text.ends_with(" missing"))
      throw_input_error(text.substr(0, colon), "no value", "a value");
    throw_input_error("command line", text, "see gabra --help");
  }

  /// Arguments that no flag took. What follows an unknown flag may be its value, so it is passed over.
  static std::vector<Fault> extra_faults(const CLI::App& app, std::vector<std::string> known) {
    known.emplace_back("--help");
    std::vector<Fault> faults;
    bool after_unknown_flag = false;
    for (const std::string& extra : app.remaining()) {
      const bool is_flag = extra.size() > 1 && extra.front() == '-';
      if (is_flag) {
        const std::string name = extra.substr(0, extra.find('='));
        faults.push_back({name, "an unknown flag" + did_you_mean(name, known),
                          fmt::format("one of {}; see gabra {} --help", fmt::join(known, ", "), full_name(app))});
      } else if (!after_unknown_flag) {
        faults.push_back(
            {"command line", "the extra argument " + in_quotes(extra), "see gabra " + full_name(app) + " --help"});
      }
      after_unknown_flag = is_flag;
    }
    return faults;
  }

  static std::string full_name(const CLI::App& app) {
    const CLI::App* parent = app.get_parent();
    return parent != nullptr && !parent->get_name().empty() && parent->get_parent() != nullptr
               ? parent->get_name() + " " + app.get_name()
               : app.get_name();
  }

  /// No command, or an unknown one.
  int report_missing_command() {
    const CLI::App& app = describe_->parsed() ? *describe_ : app_;
    std::vector<std::string> known;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(command->get_name());
    const std::string allowed =
        fmt::format("one of {}; see gabra {}--help", fmt::join(known, ", "), describe_->parsed() ? "describe " : "");
    const std::vector<std::string> extras = app.remaining();
    if (!extras.empty() && extras.front().starts_with("-"))
      throw_input_error(extras.front(), "an unknown flag" + did_you_mean(extras.front(), {"--help", "--version"}),
                        allowed);
    throw_input_error("command",
                      extras.empty() ? "nothing" : in_quotes(extras.front()) + did_you_mean(extras.front(), known),
                      allowed);
  }

  char** arguments_;
  RunSimCommand run_sim_;
  RunExecCommand run_exec_;
  CLI::App app_;
  CLI::App* describe_ = nullptr;
  std::vector<Command> commands_;
};

/// Places may be names of files, which may have any byte: control characters must not reach a terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

}  // namespace

int run_application(int argument_count, char** arguments, const Executable& executable) {
  try {
    CommandTree tree(arguments, executable);
    const int status = tree.run(argument_count);
    if (std::fflush(stdout) != 0) throw_input_error("stdout", "an output that cannot be written", "a writable output");
    return status;
  } catch (const InputError& error) {
    if (executable.prints_input_faults)
      for (const Fault& fault : error.faults()) fmt::print(stderr, "gabra: {}\n", printable(to_text(fault)));
    return kBadInput;
  } catch (const Error& error) {
    fmt::print(stderr, "gabra: {}\n", error.what());
    return kDeviceFailure;
  }
}

std::string program_version() { return GABRA_VERSION; }

void print_to_stdout(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw_input_error("stdout", "an output that cannot be written", "a writable output");
}

}  // namespace gabra::cli
