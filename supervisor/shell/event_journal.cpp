#include "supervisor/shell/event_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "common/base/block_signals.h"
#include "supervisor/shell/background.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kLastWords{2};
constexpr mode_t kFileMode = 0640;

// The one file that is being written. All of it on the writer's thread.
class File {
 public:
  File(checkpoint::Directory directory, std::uint64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Result<> append(const std::string& json) {
    std::string text = json + "\n";
    if (auto opened = open(); !opened) return opened;
    if (size_ > 0 && size_ + text.size() > bytes_max_) {
      if (auto begun = begin_next(); !begun) return begun;
    }
    if (torn_) text.insert(0, "\n");
    if (auto written = write(std::as_bytes(std::span(text))); !written) {
      torn_ = true;
      close();  // whatever is wrong with it, the next line finds the file as it is by then
      return written;
    }
    torn_ = false;
    return {};
  }

  void close() {
    if (file_ >= 0) directory_.fs().close(file_);
    file_ = -1;
  }

  const checkpoint::Directory& directory() const { return directory_; }

 private:
  Result<> open() {
    if (file_ >= 0) return {};
    checkpoint::FileSystem& fs = directory_.fs();
    const std::string name = api::journal_file_name(0);
    file_ = fs.open(directory_.fd(), name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, kFileMode);
    if (file_ < 0) return directory_.failure("open", name, file_);
    struct stat status {};
    const bool known = ::fstat(file_, &status) == 0;
    if (!known || !S_ISREG(status.st_mode)) {
      close();
      return make_error(ErrorKind::cannot_write, directory_.path_of(name) + " is no regular file; move it away.");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
    char last = '\n';
    if (size_ > 0 && ::pread(file_, &last, 1, status.st_size - 1) != 1) last = '?';
    torn_ = last != '\n';
    return {};
  }

  Result<> begin_next() {
    close();
    checkpoint::FileSystem& fs = directory_.fs();
    for (int number = api::kJournalFilesMax - 1; number > 0; --number) {
      const std::string from = api::journal_file_name(number - 1);
      const int renamed = fs.rename_over(directory_.fd(), from, api::journal_file_name(number));
      if (renamed < 0 && renamed != -ENOENT) return directory_.failure("rename", from, renamed);
    }
    return open();
  }

  Result<> write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::int64_t count = directory_.fs().write(file_, bytes.data(), bytes.size());
      if (count == -EINTR) continue;
      if (count <= 0) {
        return directory_.failure("write", api::journal_file_name(0), count < 0 ? static_cast<int>(count) : -EIO);
      }
      size_ += static_cast<std::uint64_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
  }

  checkpoint::Directory directory_;
  std::uint64_t bytes_max_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  bool torn_ = false;  // the last line has no end
};

// No event is worth the supervisor's end.
Result<> guarded(const std::function<Result<>()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {  // no memory, say
    return make_error(ErrorKind::unavailable, "could not write or read the events: " + std::string(error.what()) + ".");
  }
}

// A supervisor that leaves in order says so last.
bool left_in_order(const api::EventPage& found) {
  if (found.events.empty()) return true;
  const api::EventLine& last = *found.events.back();
  return last.type == "supervisor" && last.json.find("\"action\":\"left\"") != std::string::npos;
}

}  // namespace

// Shared by the owner and the thread. The owner's lock is never held while the disk is asked.
class EventJournal::Writer {
 public:
  Writer(checkpoint::Directory directory, OnNews on_news, const JournalLimits& limits)
      : file_(std::move(directory), limits.file_bytes), on_news_(std::move(on_news)), limits_(limits) {}

  void append(std::shared_ptr<const api::EventLine> line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    if (lines_.size() > limits_.waiting) {
      lines_.pop_front();
      ++dropped_;
    }
    work_.notify_all();
  }

  bool ask(const api::EventQuery& query, OnPage on_page) {
    const std::lock_guard lock(mutex_);
    if (questions_.size() >= limits_.questions) return false;
    questions_.emplace_back(query, std::move(on_page));
    work_.notify_all();
    return true;
  }

  // The thread's whole life.
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [this] { return closing_ || !lines_.empty() || !questions_.empty(); });
      if (!lines_.empty()) {
        const auto line = std::move(lines_.front());
        lines_.pop_front();
        lock.unlock();
        const Result<> written = guarded([&] { return file_.append(line->json); });
        lock.lock();
        settle(written);
      } else if (closing_) {
        break;
      } else {
        auto [query, on_page] = std::move(questions_.front());
        questions_.pop_front();
        lock.unlock();
        api::EventPage page;
        [[maybe_unused]] const Result<> read = guarded([&]() -> Result<> {
          page = api::read_events(file_.directory(), query);
          return {};
        });
        lock.lock();
        if (!closing_) on_page(std::move(page));
      }
    }
    file_.close();  // the last that is asked of the file system, which need not outlive the owner now
    ended_ = true;
    work_.notify_all();
  }

  // True when all is written and the thread is about to end.
  bool close() {
    std::unique_lock lock(mutex_);
    closing_ = true;
    questions_.clear();
    work_.notify_all();
    return work_.wait_for(lock, kLastWords, [this] { return ended_; });
  }

 private:
  // The first failure is told at once, the sum when it is over; each now and then only, since what is told is an event
  // itself.
  void settle(const Result<>& written) {
    const bool first = written.has_error() && failed_ == 0;
    if (!written) {
      ++failed_;
      why_ = written.error().message;
    }
    const std::uint64_t lost = failed_ + dropped_;
    if (lost == 0 || (!written && !first)) return;
    const auto now = std::chrono::steady_clock::now();
    if (said_ && now - *said_ < limits_.between_news) return;
    said_ = now;
    if (!closing_) on_news_({written ? lost : 0, why_});
    if (!written) return;
    failed_ = dropped_ = 0;
    why_.clear();
  }

  File file_;  // the thread's
  const OnNews on_news_;
  const JournalLimits limits_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::deque<std::shared_ptr<const api::EventLine>> lines_;
  std::deque<std::pair<api::EventQuery, OnPage>> questions_;
  std::uint64_t failed_ = 0;
  std::uint64_t dropped_ = 0;
  std::string why_;
  std::optional<std::chrono::steady_clock::time_point> said_;
  bool closing_ = false;
  bool ended_ = false;
};

EventJournal::EventJournal(checkpoint::Directory directory, OnNews on_news, std::size_t remembered,
                           JournalLimits limits)
    : found_(api::read_events(directory, {std::nullopt, remembered})) {
  // As many as may have waited in vain.
  const auto left_out = left_in_order(found_) ? std::int64_t{0} : static_cast<std::int64_t>(limits.waiting);
  first_id_ = found_.newest + 1 + left_out;
  writer_ = std::make_shared<Writer>(std::move(directory), std::move(on_news), limits);
  std::thread([writer = writer_] {
    stay_in_the_background();
    block_signals_in_this_thread();
    writer->run();
  }).detach();
}

EventJournal::~EventJournal() {
  [[maybe_unused]] const bool written = writer_->close();
}

void EventJournal::append(std::shared_ptr<const api::EventLine> line) {
  writer_->append(std::move(line));
}

bool EventJournal::ask(const api::EventQuery& query, OnPage on_page) {
  return writer_->ask(query, std::move(on_page));
}

}  // namespace ts::shell
