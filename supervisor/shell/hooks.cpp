#include "supervisor/shell/hooks.h"

#include <exception>
#include <memory>
#include <utility>

#include "common/base/text.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kDeadline{30};
constexpr std::chrono::minutes kSameTrouble{1};
constexpr std::size_t kLastWordsMax = 300;

// A shell script needs no JSON to say what happened.
ToolInput input_of(const api::Event& event) {
  ToolInput input;
  input.text = api::to_line(event).json + "\n";
  input.environment = {{"TRAINER_EVENT_ID", std::to_string(event.id)},
                       {"TRAINER_EVENT_TIME", event.time},
                       {"TRAINER_EVENT_TYPE", std::string(api::to_string(event.type))},
                       {"TRAINER_EVENT_LEVEL", std::string(api::to_string(event.level))},
                       {"TRAINER_EVENT_MESSAGE", escape_control(event.message)}};
  return input;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  const std::size_t start = text.rfind('\n');
  return shorten(escape_control(start == std::string::npos ? text : text.substr(start + 1)), kLastWordsMax);
}

}  // namespace

Hooks::Hooks(asio::io_context& io, Children& children, std::vector<std::string> command, OnTrouble on_trouble)
    : io_(io), children_(children), on_trouble_(std::move(on_trouble)) {
  replace(std::move(command));
}

Hooks::~Hooks() {
  stop_.request_stop();
  if (threads_) threads_->join();
}

void Hooks::replace(std::vector<std::string> command) {
  command_ = std::move(command);
  if (!command_.empty() && !threads_) threads_.emplace(HookQueue::kAtOnce);
}

void Hooks::run(const api::Event& event) {
  if (command_.empty()) return;
  queue_.add(event);
  start_more();
}

void Hooks::finish(std::function<void()> done) {
  if (queue_.idle()) return done();
  done_ = std::move(done);
}

void Hooks::start_more() {
  while (auto next = queue_.next()) {
    asio::post(*threads_, [this, command = command_, event = std::make_shared<const api::Event>(std::move(*next))] {
      auto result = std::make_shared<ToolRun>();
      try {
        ToolLimits limits;
        limits.deadline = kDeadline;
        // (Without a command any more, what waited is dropped.)
        if (!command.empty())
          *result = ToolRunner(&children_).run(command, limits, stop_.get_token(), input_of(*event));
      } catch (const std::exception& error) {  // no memory, say
        result->trouble = std::string("could not be started: ") + error.what();
      }
      const std::string program = command.empty() ? std::string() : escape_control(command.front());
      asio::post(io_, [this, event, program, result] { ended(*event, program, *result); });
    });
  }
}

void Hooks::ended(const api::Event& event, const std::string& program, const ToolRun& result) {
  const std::uint64_t left_out = queue_.ended();
  if (!result.trouble.empty()) tell_failure(event, program, result);
  if (left_out > 0) {
    boost::json::object details;
    details["left_out"] = left_out;
    on_trouble_("The hook " + program + " is slower than things happen: " + std::to_string(left_out) +
                    (left_out == 1 ? " event was" : " events were") + " not given to it; the journal has them.",
                std::move(details));
  }
  start_more();
  if (queue_.idle() && done_) std::exchange(done_, nullptr)();
}

void Hooks::tell_failure(const api::Event& event, const std::string& program, const ToolRun& result) {
  const std::string trouble = result.trouble == "is not installed" ? "cannot be found or run" : result.trouble;
  const auto now = std::chrono::steady_clock::now();
  if (trouble == last_trouble_ && now - told_ < kSameTrouble) {
    ++untold_;
    return;
  }
  std::string sentence = "The hook " + program + " " + trouble + " (event " + std::to_string(event.id) + ", " +
                         std::string(api::to_string(event.type)) + ")";
  if (const std::string words = last_line(result.output); !words.empty()) sentence += ": " + words;
  if (untold_ > 0) sentence += "; so did " + std::to_string(untold_) + " before it";
  boost::json::object details;
  details["event"] = event.id;
  details["trouble"] = trouble;
  details["untold"] = std::exchange(untold_, 0);
  last_trouble_ = trouble;
  told_ = now;
  on_trouble_(sentence + ".", std::move(details));
}

}  // namespace ts::shell
