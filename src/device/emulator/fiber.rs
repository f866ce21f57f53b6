//! Fibers: stacks that a block's threads run on when they have to wait. They are made when first needed
//! and kept; a parked fiber belongs to no thread and waits for the next one to start.
use corosensei::{
    Coroutine, CoroutineResult, Yielder,
    stack::{Stack, StackPointer},
    trap::CoroutineTrapHandler,
};
use libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap,
    mprotect,
};
use std::ptr;

/// Kernels' frames are below 1 KiB; the rest is for printf.
const STACK_BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096;
const STACKS_AT_ONCE: usize = 64;

/// A fiber never returns of itself: this is how a signal ends one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trap {
    pub signal: i32,
    /// The address that was touched, where the signal has one.
    pub address: usize,
    /// The instruction.
    pub at: usize,
}

pub(super) struct FiberStack {
    base: usize,
    limit: usize,
}

// SAFETY: the memory from limit + guard to base is mapped, ours alone, and never unmapped.
unsafe impl Stack for FiberStack {
    fn base(&self) -> StackPointer {
        StackPointer::new(self.base).expect("a stack is not at zero")
    }
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.limit).expect("a stack is not at zero")
    }
}

type Handle = Coroutine<(), (), Trap, FiberStack>;
pub(super) type Parent = Yielder<(), ()>;

#[derive(Default)]
pub(super) struct Fibers {
    handles: Vec<Handle>,
    /// Where each fiber suspends to; in a list of its own, as a handle is borrowed while it runs.
    parents: Vec<*const Parent>,
    parked: Vec<u32>,
    stacks: Vec<FiberStack>,
    pub current: u32,
}

impl Fibers {
    /// A parked fiber, or a new one that will run `main(its number)`.
    pub fn take(&mut self, main: impl FnOnce(u32, &Parent) -> Trap + 'static) -> u32 {
        self.parked.pop().unwrap_or_else(|| {
            if self.stacks.is_empty() {
                self.stacks = map_stacks();
            }
            let stack = self.stacks.pop().expect("just mapped");
            let id = self.handles.len() as u32;
            self.handles
                .push(Handle::with_stack(stack, move |parent, ()| {
                    main(id, parent)
                }));
            self.parents.push(ptr::null());
            id
        })
    }

    /// Called by a fiber, first of all.
    pub fn begin(&mut self, id: u32, parent: &Parent) {
        self.parents[id as usize] = parent;
    }

    /// Called by a fiber without a thread, before it suspends.
    pub fn park(&mut self, id: u32) {
        self.parked.push(id);
    }

    /// Runs fiber `id` until it suspends, or until a signal ends it.
    ///
    /// # Safety
    /// `this` points to fibers that outlive the call; what runs may use the same pointer.
    // Inlined, like `suspend`: a return after a stack switch is a branch miss.
    #[inline(always)]
    pub unsafe fn resume(this: *mut Fibers, id: u32) -> Result<(), Trap> {
        // SAFETY: the caller's promise; no handle is added while a fiber runs, so `handle` stays put.
        let handle = unsafe {
            (*this).current = id;
            &mut *(*this).handles.as_mut_ptr().add(id as usize)
        };
        match handle.resume(()) {
            CoroutineResult::Yield(()) => Ok(()),
            CoroutineResult::Return(trap) => Err(trap),
        }
    }

    /// Back to whoever resumed the current fiber.
    ///
    /// # Safety
    /// Called on fiber `current` of `this`, with no borrow of anything that another fiber may use.
    #[inline(always)]
    pub unsafe fn suspend(this: *mut Fibers) {
        // SAFETY: the parent lives at the bottom of the stack that this very call runs on.
        unsafe { (**(*this).parents.as_ptr().add((*this).current as usize)).suspend(()) }
    }

    pub fn trap_handler(&self) -> CoroutineTrapHandler<Trap> {
        self.handles[self.current as usize].trap_handler()
    }

    /// Ends all fibers wherever they are; their stacks are used again.
    pub fn abandon(&mut self) {
        for mut handle in self.handles.drain(..) {
            // SAFETY: a fiber's frames own nothing: the kernel is C++ without destructors, and hooks
            // suspend with no value alive that has a `drop`.
            unsafe { handle.force_reset() };
            self.stacks.push(handle.into_stack());
        }
        self.parents.clear();
        self.parked.clear();
    }
}

fn map_stacks() -> Vec<FiberStack> {
    let slot = STACK_BYTES + GUARD_BYTES;
    // SAFETY: a fresh private mapping, cut into slots that begin with a page nobody may touch.
    unsafe {
        let map = mmap(
            ptr::null_mut(),
            STACKS_AT_ONCE * slot,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0,
        );
        assert!(map != MAP_FAILED, "no address space for fiber stacks");
        let stack = |i: usize| {
            let limit = map as usize + i * slot;
            assert_eq!(mprotect(limit as *mut _, GUARD_BYTES, PROT_NONE), 0);
            // Stacks that begin at the same offset of a page fight for the same cache lines.
            let color = i % 32 * 192;
            FiberStack {
                base: limit + slot - color,
                limit,
            }
        };
        (0..STACKS_AT_ONCE).map(stack).collect()
    }
}
