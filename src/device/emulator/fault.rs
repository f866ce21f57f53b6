//! Signals. What a kernel does that the machine will not (a touch of a guard, a division by zero), and
//! what the watchdog sends, ends the fiber it runs on as if it had returned; the process goes on.
use super::{
    fiber::Trap,
    memory,
    worker::{self, Worker},
};
use libc::{
    REG_RBP, REG_RDI, REG_RIP, REG_RSI, REG_RSP, SA_ONSTACK, SA_SIGINFO, SIGBUS, SIGFPE, SIGILL,
    SIGSEGV, SIGUSR2, c_void, sigaction, sigaltstack, siginfo_t, stack_t, ucontext_t,
};
use std::{
    mem::{MaybeUninit, zeroed},
    ptr,
    sync::{Once, OnceLock},
};

/// What the watchdog sends to a thread that has stopped getting anywhere.
pub(super) const STOP: i32 = SIGUSR2;
const SIGNALS: [i32; 5] = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, STOP];
const HANDLER_STACK_BYTES: usize = 64 << 10;

/// Who handled each of `SIGNALS` before us.
static FORMER: OnceLock<[sigaction; SIGNALS.len()]> = OnceLock::new();

/// Takes over the signals, once a process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: `sigaction` is plain data, for which zero is a value; the handler is async-signal-safe.
        unsafe {
            let mut former: [sigaction; SIGNALS.len()] = zeroed();
            for (signal, former) in SIGNALS.iter().zip(&mut former) {
                sigaction(*signal, ptr::null(), former);
            }
            FORMER.set(former).ok();
            let mut ours: sigaction = zeroed();
            let handler: extern "C" fn(i32, *mut siginfo_t, *mut c_void) = handle;
            ours.sa_sigaction = handler as usize;
            ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
            for signal in SIGNALS {
                sigaction(signal, &ours, ptr::null_mut());
            }
        }
    });
}

extern "C" fn handle(signal: i32, info: *mut siginfo_t, context: *mut c_void) {
    let worker = worker::current();
    // SAFETY: the kernel gives valid pointers; a worker with a fiber running is not in use elsewhere.
    unsafe {
        if !worker.is_null() && (*worker).watch.is_inside() {
            let context = &mut *context.cast::<ucontext_t>();
            let stopped = end_fiber(&*worker, signal, (*info).si_addr() as usize, context);
            if stopped {
                return;
            }
        }
        if signal != STOP {
            pass_on(signal);
        }
    }
}

/// Makes the interrupted fiber return a trap once the handler is left. A stop that comes just as the
/// fiber has gone back to its worker is none.
///
/// # Safety
/// `context` is the state of this thread, interrupted while a fiber of `worker` ran.
unsafe fn end_fiber(
    worker: &Worker,
    signal: i32,
    address: usize,
    context: &mut ucontext_t,
) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let fiber = worker.fibers.trap_handler();
    if signal == STOP && !fiber.stack_ptr_in_bounds(registers[REG_RSP as usize] as usize) {
        return false;
    }
    let trap = Trap {
        signal,
        address,
        at: registers[REG_RIP as usize] as usize,
    };
    // SAFETY: the fiber is running, and its frames own nothing (see `Fibers::abandon`).
    let to = unsafe { fiber.setup_trap_handler(move || trap) };
    registers[REG_RIP as usize] = to.rip as i64;
    registers[REG_RSP as usize] = to.rsp as i64;
    registers[REG_RBP as usize] = to.rbp as i64;
    registers[REG_RDI as usize] = to.rdi as i64;
    registers[REG_RSI as usize] = to.rsi as i64;
    true
}

/// Not a kernel's doing: the instruction faults again, into the handler that was there before.
fn pass_on(signal: i32) {
    let former = FORMER.get().zip(SIGNALS.iter().position(|&s| s == signal));
    if let Some((former, at)) = former {
        // SAFETY: what `sigaction` itself returned.
        unsafe { sigaction(signal, &former[at], ptr::null_mut()) };
    }
}

/// While this lives, signals of this thread are handled on a stack of their own: a fiber's may be full.
pub(super) struct HandlerStack {
    former: stack_t,
    _memory: Vec<MaybeUninit<u8>>,
}

impl HandlerStack {
    pub fn new() -> HandlerStack {
        let mut memory = Vec::with_capacity(HANDLER_STACK_BYTES);
        let ours = stack_t {
            ss_sp: memory.as_mut_ptr() as *mut c_void,
            ss_flags: 0,
            ss_size: HANDLER_STACK_BYTES,
        };
        // SAFETY: `memory` lives until `drop` has put the former stack back.
        let former = unsafe {
            let mut former: stack_t = zeroed();
            sigaltstack(&ours, &mut former);
            former
        };
        HandlerStack {
            former,
            _memory: memory,
        }
    }
}

impl Drop for HandlerStack {
    fn drop(&mut self) {
        // SAFETY: the stack that this thread had before.
        unsafe { sigaltstack(&self.former, ptr::null_mut()) };
    }
}

pub(super) fn describe(worker: &Worker, trap: Trap) -> String {
    let what = match trap.signal {
        STOP => "endless: the thread runs and runs, and comes to no barrier and no end".to_string(),
        SIGFPE => "an integer division by zero, or one that overflows".to_string(),
        SIGILL => "a trap of the C++ compiler: the code has no defined meaning".to_string(),
        _ => format!("invalid access to {}", place(worker, trap.address)),
    };
    let lines = source_lines(trap.at);
    let in_kernel = lines.as_ref().is_some_and(|lines| lines.contains(".cu"));
    // Stopped while an access was being looked at: then the thread is at that access.
    let last = worker.checker.last.checked_sub(1).filter(|_| !in_kernel);
    let lines = last.and_then(source_lines).or(lines);
    lines.map_or(what.clone(), |lines| format!("{what}, at {lines}"))
}

fn place(worker: &Worker, address: usize) -> String {
    if worker.fibers.trap_handler().stack_ptr_in_bounds(address) {
        return "the stack: a thread has 64 KiB for its local variables".to_string();
    }
    worker
        .shared
        .describe(address)
        .unwrap_or_else(|| memory::describe(address))
}

/// The source lines of an instruction: its own, then those it is inlined into, up to the kernel's body;
/// without those of the emulator's own headers, where there are others.
pub(super) fn source_lines(at: usize) -> Option<String> {
    let mut lines = Vec::new();
    backtrace::resolve(at as *mut c_void, |symbol| {
        let is_entry = symbol
            .name()
            .is_some_and(|n| n.to_string().starts_with("emulated_"));
        if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno())
            && (!is_entry || lines.is_empty())
        {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            lines.push(format!("{file}:{line}"));
        }
    });
    if lines.iter().any(|line| !line.starts_with("emulated")) {
        lines.retain(|line| !line.starts_with("emulated"));
    }
    (!lines.is_empty()).then(|| lines.join(", inlined at "))
}
