#include "supervisor/shell/closer.h"

#include <fcntl.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ts::shell {

struct Closer::Queue {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<UniqueFd> descriptors;
  bool leaving = false;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [this] { return leaving || !descriptors.empty(); });
      if (descriptors.empty()) return;
      UniqueFd next = std::move(descriptors.front());
      descriptors.pop_front();
      lock.unlock();
      next.reset();
      lock.lock();
    }
  }
};

bool is_memory_file(int descriptor) {
  return ::fcntl(descriptor, F_GET_SEALS) >= 0;
}

Closer::~Closer() {
  if (!queue_) return;
  const std::lock_guard lock(queue_->mutex);
  queue_->leaving = true;
  queue_->wake.notify_one();
}

void Closer::close(UniqueFd descriptor) {
  if (!descriptor || is_memory_file(descriptor.get())) return;
  if (!queue_) {
    auto queue = std::make_shared<Queue>();
    try {
      std::thread([queue] { queue->run(); }).detach();
    } catch (const std::system_error&) {
      return;  // no thread to be had: here and now, then
    }
    queue_ = std::move(queue);
  }
  const std::lock_guard lock(queue_->mutex);
  queue_->descriptors.push_back(std::move(descriptor));
  queue_->wake.notify_one();
}

}  // namespace ts::shell
