// What the worker prints as one client follows it: each byte once, in order, from the place that it names.
//
// The log is a file that the worker writes alone, so whether there is more is looked at a few times a second, and only
// while somebody follows. Threading: the io_context's thread. Ownership: refers to the backend.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "supervisor/api/backend.h"
#include "supervisor/api/stream.h"

namespace ts::api {

class OutputStream final : public Stream {
 public:
  OutputStream(Backend& backend, const Peer& peer, const OutputPlace& since)
      : backend_(backend), peer_(peer), since_(since), changes_(std::make_shared<Changes>()) {}

  boost::asio::awaitable<Result<std::string>> more() override;
  Changes& changes() override { return *changes_; }
  void was_too_slow() override { backend_.cut_off(peer_, "log", to_text(since_)); }

 private:
  void look_again_later(const boost::asio::any_io_executor& executor);

  Backend& backend_;
  Peer peer_;
  OutputPlace since_;
  std::shared_ptr<Changes> changes_;
  std::optional<boost::asio::steady_timer> timer_;
};

}  // namespace ts::api
