//! CUDA through cudarc's driver API: one context, one stream, and the cubins the build embedded. The
//! driver's library is loaded when a device is opened, so the binary needs none to start.
mod event;
mod graph;
mod staging;
mod tensor_map;

use super::{
    Arch, Driver, Encoded, IMAGES, Image, Launch, Ptr, Real, TensorMap, graph::Executable,
    trace::Moment,
};
use crate::{Error, Result};
use cudarc::driver::{result, sys};
pub(crate) use event::Event;
use staging::Staging;
use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    sync::{Mutex, PoisonError},
};

pub(super) struct Cuda {
    ordinal: usize,
    arch: Arch,
    context: sys::CUcontext,
    stream: sys::CUstream,
    staging: Mutex<Staging>,
    modules: Vec<sys::CUmodule>,
    functions: HashMap<&'static str, sys::CUfunction>,
}
// SAFETY: the handles are process-wide; every call first makes the context current on its thread.
unsafe impl Send for Cuda {}
unsafe impl Sync for Cuda {}

/// Dynamic shared memory every kernel has without asking.
const SHARED_WITHOUT_OPT_IN: u32 = 48 * 1024;

impl Cuda {
    pub fn open(ordinal: usize, real: Real) -> Result<Cuda> {
        let missing = |why: String| Error::Environment(format!("cuda:{ordinal}: {why}"));
        // SAFETY: only looks whether the library can be loaded.
        if !unsafe { sys::is_culib_present() } {
            let why = "no NVIDIA driver: libcuda.so could not be loaded; install the driver, or use --device cpu";
            return Err(missing(why.into()));
        }
        if IMAGES.is_empty() {
            let why = "this build holds no CUDA kernels: build again where python3 with pip or a CUDA toolkit is installed";
            return Err(missing(why.into()));
        }
        let failed =
            |what: &'static str| move |e: result::DriverError| missing(format!("{what}: {e}"));
        result::init().map_err(failed("the driver does not start"))?;
        let count = result::device::get_count().map_err(failed("no GPU"))?;
        if ordinal as i32 >= count {
            return Err(missing(format!(
                "no such GPU: this machine has {count}; see --device"
            )));
        }
        let device = result::device::get(ordinal as i32).map_err(failed("no such GPU"))?;
        // SAFETY: `device` is valid; the primary context is retained for the life of this value.
        let context =
            unsafe { result::primary_ctx::retain(device) }.map_err(failed("no context"))?;
        // SAFETY: `context` was just retained.
        unsafe { result::ctx::set_current(context) }.map_err(failed("no context"))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(failed("no stream"))?;
        let staging = Staging::new().map_err(failed("no stream for copies"))?;
        let arch = Cuda::arch_of(device, real).map_err(failed("its properties cannot be read"))?;
        let mut cuda = Cuda {
            ordinal,
            arch,
            context,
            stream,
            staging: Mutex::new(staging),
            modules: Vec::new(),
            functions: HashMap::new(),
        };
        cuda.load(real)
            .map_err(failed("its kernels cannot be loaded"))?;
        Ok(cuda)
    }

    fn arch_of(device: sys::CUdevice, real: Real) -> Result<Arch, result::DriverError> {
        use sys::CUdevice_attribute::*;
        // SAFETY: `device` is valid.
        let read = |attribute| unsafe { result::device::get_attribute(device, attribute) };
        let major = read(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = read(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let multiprocessors = read(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
        Ok(Arch {
            compute: (major * 10 + minor) as u32,
            multiprocessors,
            real,
        })
    }

    /// A cubin of the same major version where there is one, else PTX for the driver to translate.
    fn target(&self) -> &'static str {
        match self.arch.compute {
            80..90 => "sm_80",
            90 => "sm_90a",
            _ => "compute_80",
        }
    }

    fn load(&mut self, real: Real) -> Result<(), result::DriverError> {
        let target = self.target();
        for image in IMAGES
            .iter()
            .filter(|image| image.real == real && image.target == target)
        {
            let module = load_image(image)?;
            self.modules.push(module);
            for kernel in super::kernels::ALL
                .iter()
                .filter(|kernel| kernel.file == image.file)
            {
                let name = CString::new(kernel.name).expect("a kernel's name has no zero byte");
                // SAFETY: `module` is loaded and stays so.
                match unsafe { result::module::get_function(module, name) } {
                    Ok(function) => self.functions.insert(kernel.name, function),
                    // One for other architectures or another number type: whoever launches it is told.
                    Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NOT_FOUND => None,
                    Err(e) => return Err(e),
                };
            }
        }
        Ok(())
    }

    /// The context is per thread: every entry into the driver sets it first.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as `self`.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| self.failed("context", e))
    }
    fn failed(&self, what: &'static str, e: result::DriverError) -> Error {
        Error::Launch {
            kernel: what,
            device: self.name(),
            why: e.to_string(),
        }
    }
}

fn load_image(image: &Image) -> Result<sys::CUmodule, result::DriverError> {
    // PTX is a C string, a cubin is not read past its own length: one zero at the end serves both.
    let mut bytes = image.bytes.to_vec();
    bytes.push(0);
    // SAFETY: `bytes` holds a whole image and outlives the call.
    unsafe { result::module::load_data(bytes.as_ptr().cast::<c_void>()) }
}

impl Driver for Cuda {
    fn name(&self) -> String {
        format!("cuda:{}", self.ordinal)
    }
    fn arch(&self) -> Arch {
        self.arch
    }
    fn alloc(&self, bytes: usize) -> Result<Ptr> {
        self.enter()?;
        // SAFETY: plain allocation in the current context.
        let ptr = unsafe { result::malloc_sync(bytes) };
        ptr.map(Ptr).map_err(|_| {
            let (free, total) = result::mem_get_info().unwrap_or((0, 0));
            Error::OutOfMemory {
                device: self.name(),
                wanted: bytes as u64,
                used: (total - free) as u64,
            }
        })
    }
    fn free_memory(&self) -> Result<Option<u64>> {
        self.enter()?;
        let (free, _) = result::mem_get_info().map_err(|e| self.failed("memory", e))?;
        Ok(Some(free as u64))
    }
    fn free(&self, ptr: Ptr, _: usize) {
        // SAFETY: allocated above; the driver waits for work that still uses it. On failure there is
        // nothing left to do: the process's memory goes back with its context.
        let _ = self.enter().map(|()| unsafe { result::free_sync(ptr.0) });
    }
    fn upload(&self, to: Ptr, from: &[u8]) -> Result<()> {
        self.enter()?;
        let mut staging = self.staging.lock().unwrap();
        let staged = staging.upload(to, from, self.stream);
        staged.map_err(|e| self.failed("upload", e))
    }
    fn download(&self, from: Ptr, to: &mut [u8]) -> Result<()> {
        self.enter()?;
        // SAFETY: callers read inside one buffer, and `to` is borrowed until the synchronisation below.
        unsafe { result::memcpy_dtoh_async(to, from.0, self.stream) }
            .map_err(|e| self.failed("download", e))?;
        self.synchronize()
    }
    fn launch(&self, launch: &Launch) -> Result<()> {
        self.enter()?;
        let name = launch.kernel.name;
        let failed = |why: String| Error::Launch {
            kernel: name,
            device: self.name(),
            why,
        };
        let fail = |e: result::DriverError| failed(e.to_string());
        let Some(&function) = self.functions.get(name) else {
            let (target, real) = (self.target(), self.arch.real.name());
            return Err(failed(format!(
                "this build has it not for {target} in {real}"
            )));
        };
        let shared = launch.grid.shared_bytes;
        if shared > SHARED_WITHOUT_OPT_IN {
            let attribute =
                sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: `function` belongs to a loaded module.
            unsafe { result::function::set_function_attribute(function, attribute, shared as i32) }
                .map_err(fail)?;
        }
        let ([x, y, z], [a, b, c]) = (launch.grid.blocks, launch.grid.threads);
        let params = &mut [launch.params.as_ptr() as *mut c_void];
        // SAFETY: the kernel takes exactly one struct of these bytes (`build.rs` checks its layout), and
        // the driver copies them before the call returns.
        unsafe {
            result::launch_kernel(function, (x, y, z), (a, b, c), shared, self.stream, params)
        }
        .map_err(fail)
    }
    fn tensor_map(&self, map: &TensorMap) -> Result<Encoded> {
        self.enter()?;
        tensor_map::encode(self, map)
    }
    fn synchronize(&self) -> Result<()> {
        self.enter()?;
        // SAFETY: the stream is ours and alive.
        unsafe { result::stream::synchronize(self.stream) }
            .map_err(|e| self.failed("synchronize", e))
    }
    fn moment(&self) -> Result<Moment> {
        self.event().map(Moment::Event)
    }
    fn graph(&self, launches: &dyn Fn() -> Result<()>) -> Result<Option<Box<dyn Executable>>> {
        self.instantiate(launches).map(Some)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the driver reclaims all of it at exit.
        let _ = self.synchronize();
        let staging = self.staging.get_mut();
        staging.unwrap_or_else(PoisonError::into_inner).destroy();
        for &module in &self.modules {
            // SAFETY: loaded by us, and no launch is pending.
            let _ = unsafe { result::module::unload(module) };
        }
        // SAFETY: created and retained by us, once.
        let _ = unsafe { result::stream::destroy(self.stream) };
        if let Ok(device) = result::device::get(self.ordinal as i32) {
            let _ = unsafe { result::primary_ctx::release(device) };
        }
    }
}
