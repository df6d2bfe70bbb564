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

// A sealed memfd of this size, with every page of it; nothing where the system refuses one.
UniqueFd make_memfd(std::size_t bytes) {
  UniqueFd fd(::memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // A limit on file sizes (ulimit -f) is for these too.
  const bool sized = fd && ::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes)) == 0;
  const bool sealed = sized && ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
  return sealed ? std::move(fd) : UniqueFd();
}

}  // namespace

Result<MemoryFile> MemoryFile::create(std::size_t bytes) {
  const auto refuse = [&](const std::string& why) {
    return make_error(ErrorKind::unavailable,
                      "there is not enough memory for a snapshot of " + human_bytes(bytes) + ": " + why + ".");
  };
  // Asked for first: the kernel would hand out page after page, until it kills somebody.
  const auto available = available_bytes();
  if (available && *available < bytes) return refuse(human_bytes(*available) + " are available");
  MemoryFile file;
  file.fd_ = make_memfd(bytes);
  const int flags = MAP_POPULATE | (file.fd_ ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, file.fd_ ? file.fd_.get() : -1, 0);
  if (memory == MAP_FAILED) return refuse(std::strerror(errno));
  file.bytes_ = {static_cast<std::byte*>(memory), bytes};
  return file;
}

MemoryFile::~MemoryFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace ts::session
