#include "supervisor/shell/leaving.h"

#include <utility>

namespace ts::shell {

Leaving::Leaving(asio::io_context& io, std::vector<Part> parts, std::function<void(const std::string&)> say,
                 std::function<void()> gone, std::chrono::milliseconds patience)
    : io_(io),
      parts_(std::move(parts)),
      done_(parts_.size(), false),
      left_(parts_.size()),
      say_(std::move(say)),
      gone_(std::move(gone)),
      patience_(patience),
      timer_(io) {
  say_later();
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    parts_[part].end([this, part] { asio::post(io_, [this, part] { done(part); }); });
  }
}

std::string Leaving::awaited() const {
  std::string out;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    if (!done_[part]) out += (out.empty() ? "" : "; ") + parts_[part].doing();
  }
  return out;
}

void Leaving::done(std::size_t part) {
  done_[part] = true;
  if (--left_ > 0) return;
  timer_.cancel();
  gone_();
}

void Leaving::say_later() {
  timer_.expires_after(patience_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || left_ == 0) return;
    has_said_ = true;
    say_("Before leaving, waiting for " + awaited() +
         ". The disk is slow or does not answer; another Ctrl+C or SIGTERM leaves at once.");
    patience_ *= 2;  // less and less often
    say_later();
  });
}

}  // namespace ts::shell
