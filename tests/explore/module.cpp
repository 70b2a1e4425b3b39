#include "module.hpp"

#include "memory.hpp"
#include "real.hpp"
#include "world.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <link.h>
#include <memory>
#include <stdexcept>

namespace explore {
namespace {

// What a thread's thread_locals begin with, and the number by which the module's are asked for.
struct Tls {
  std::size_t module = 0;
  const void* first = nullptr;
  std::size_t filled = 0;
  std::size_t size = 0;
} tls;

// A variable that the linker has filled in once is read-only (RELRO), and so always as it was.
void watch_writable(const dl_phdr_info& info) {
  std::size_t read_only_until = 0;
  for (const ElfW(Phdr) & part : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (part.p_type == PT_GNU_RELRO) read_only_until = info.dlpi_addr + part.p_vaddr + part.p_memsz;
    if (part.p_type == PT_TLS)
      tls = {info.dlpi_tls_modid, reinterpret_cast<const void*>(info.dlpi_addr + part.p_vaddr),
             part.p_filesz, part.p_memsz};
  }
  read_only_until = (read_only_until + 4095) & ~std::size_t{4095};
  for (const ElfW(Phdr) & part : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) == 0) continue;
    const std::size_t end = info.dlpi_addr + part.p_vaddr + part.p_memsz;
    const std::size_t begin = std::max(info.dlpi_addr + part.p_vaddr, read_only_until);
    if (begin < end) watch_globals(reinterpret_cast<void*>(begin), end - begin);
  }
}

}  // namespace

Module::Module(const std::string& path)
    : path_(path), handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) throw std::runtime_error(::dlerror());
  link_map* map = nullptr;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0) throw std::runtime_error(::dlerror());
  base_ = map->l_addr;
  const auto visit = [](dl_phdr_info* info, std::size_t, void* self) {
    Module& module = *static_cast<Module*>(self);
    if (info->dlpi_addr != module.base_) return 0;
    watch_writable(*info);
    for (const ElfW(Phdr) & part : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
      if (part.p_type == PT_LOAD)
        module.end_ = std::max(module.end_, module.base_ + part.p_vaddr + part.p_memsz);
    }
    return 1;
  };
  ::dl_iterate_phdr(visit, this);
}

void expect_up_to_date(const std::string& library) {
  const std::string ask = "ninja -C '" BUILD "' -n '" + library + "' 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> ninja(::popen(ask.c_str(), "r"), ::pclose);
  std::array<char, 256> line{};
  std::string answer;  // none where there is no ninja
  while (ninja && std::fgets(line.data(), line.size(), ninja.get()) != nullptr)
    answer += line.data();
  if (!answer.empty() && answer.find("no work to do") == std::string::npos)
    throw std::runtime_error("the source is newer than " + library + ": ninja -C build explored");
}

void* Module::find_symbol(const char* name) const {
  void* const found = ::dlsym(handle_, name);
  if (found == nullptr) throw std::runtime_error(::dlerror());
  return found;
}

bool Module::has(const void* address) const {
  const auto at = reinterpret_cast<std::size_t>(address);
  return at >= base_ && at < end_;
}

}  // namespace explore

// Called for each use of a thread_local in a shared library. A fiber is no thread to the library
// that has this function, so the module's are ours to keep.
extern "C" void* __tls_get_addr(std::size_t* index) {
  static auto* const usual = real<void*(std::size_t*)>("__tls_get_addr");
  using namespace explore;
  if (!world.in_program || Fiber::on_threads || index[0] != tls.module) return usual(index);
  Thread& self = *world.current;
  if (self.tls == nullptr) {
    self.tls = std::calloc(1, tls.size);
    std::memcpy(self.tls, tls.first, tls.filled);
  }
  return static_cast<char*>(self.tls) + index[1];
}
