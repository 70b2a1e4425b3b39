#pragma once

#include <cstddef>
#include <string>

// The explored program: a shared library, so that its globals lie together and can be put back
// before each run, and so that it calls our pthread_mutex_lock().
namespace explore {

class Module {
 public:
  // Loads it. Throws std::runtime_error.
  explicit Module(const std::string& path);

  // The address of `name` in it. Throws std::runtime_error if it has none.
  template <typename T>
  T* find(const char* name) const {
    return static_cast<T*>(find_symbol(name));
  }

  const std::string& path() const { return path_; }
  // Where it was loaded, to be taken off an address before a debugger's tool is asked about it.
  std::size_t base() const { return base_; }
  bool has(const void* address) const;

 private:
  void* find_symbol(const char* name) const;

  std::string path_;
  void* handle_ = nullptr;
  std::size_t base_ = 0;
  std::size_t end_ = 0;
};

// A reader changes a line and forgets to build: then what is explored is not what they look at.
// Throws std::runtime_error if ninja would build `library`, in the build's folder, anew.
void expect_up_to_date(const std::string& library);

}  // namespace explore
