// Tells those who wait that there is something new. Each has a subscription, and hears until it lets go of it.
//
// Ownership: a subscription may outlive the Changes that it came from. Threading: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace ts::api {

class Changes {
 public:
  using Subscription = std::shared_ptr<void>;

  // `wake` is called for each change, from within tell(): it may not call anything here.
  [[nodiscard]] Subscription subscribe(std::function<void()> wake) {
    const std::uint64_t number = ++newest_;
    listeners_->emplace(number, std::move(wake));
    return {nullptr, [listeners = listeners_, number](void*) { listeners->erase(number); }};
  }

  void tell() const {
    for (const auto& [number, wake] : *listeners_) wake();
  }

 private:
  using Listeners = std::map<std::uint64_t, std::function<void()>>;
  std::shared_ptr<Listeners> listeners_ = std::make_shared<Listeners>();
  std::uint64_t newest_ = 0;
};

}  // namespace ts::api
