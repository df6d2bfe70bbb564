#include "worker/session/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "common/base/text.h"

namespace ts::session {
namespace {

// What the kernel thinks can be had without swapping (proc(5), MemAvailable); nothing where it does not say.
std::optional<std::uint64_t> available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  while (file >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

}  // namespace

Result<MemoryFile> MemoryFile::create(std::size_t bytes) {
  const auto refuse_because = [&](const std::string& why) {
    return make_error(ErrorKind::unavailable,
                      "there is not enough memory for a snapshot of " + human_bytes(bytes) + ": " + why + ".");
  };
  const auto refuse = [&](int error) { return refuse_because(std::strerror(error)); };
  // Asked for first: the kernel would hand out page after page, until it kills somebody.
  const auto available = available_bytes();
  if (available && *available < bytes) return refuse_because(human_bytes(*available) + " are available");
  MemoryFile file;
  file.fd_ = UniqueFd(::memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.fd_) return refuse(errno);
  // Every page is there when this returns, or the lack of memory is an error here and not a SIGBUS later.
  if (::fallocate(file.fd_.get(), 0, 0, static_cast<off_t>(bytes)) != 0) return refuse(errno);
  if (::fcntl(file.fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return refuse(errno);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.fd_.get(), 0);
  if (memory == MAP_FAILED) return refuse(errno);
  file.bytes_ = {static_cast<std::byte*>(memory), bytes};
  return file;
}

MemoryFile::~MemoryFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace ts::session
