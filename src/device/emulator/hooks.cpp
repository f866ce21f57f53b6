// What kernels share with the runtime and Rust cannot declare: the thread-local that says which CUDA
// thread is running. Compiled beside the kernels.
extern "C" {
__thread const void* emulated_thread;
const void** emulated_running_thread() { return &emulated_thread; }
}
