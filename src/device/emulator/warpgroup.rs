//! wgmma as its threads see it: four warps issue the same products, commit them in groups and wait for
//! those. Until then the accumulators are NaN, so that nobody who reads them early gets away with it.
use super::{
    block::{Block, State},
    flight::Operation,
    hooks::Site,
    moment::{Known, Moment},
    operand::Major,
    worker,
};
use std::{collections::VecDeque, slice};

pub(super) const WARPGROUP: u32 = 128;

/// One instruction as one thread issues it: `EmulatedProduct` of kernels/emulated_hopper.cuh.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub d: *mut f32,
    /// The thread's part of A, or null where A is in shared memory.
    a_registers: *const [u32; 4],
    pub a: u64,
    pub b: u64,
    pub n: u32,
    pub a_major: Major,
    pub b_major: Major,
    pub accumulates: u32,
}

impl Product {
    /// Whether two threads' instructions are the same but for their registers.
    pub fn is_same_as(&self, other: &Product) -> bool {
        let key = |p: &Product| {
            let from_registers = !p.a_registers.is_null();
            (
                p.a,
                p.b,
                p.n,
                p.a_major,
                p.b_major,
                p.accumulates,
                from_registers,
            )
        };
        key(self) == key(other)
    }
}

pub(super) struct Record {
    pub product: Product,
    pub registers: Option<[u32; 4]>,
    /// What the thread knew, where it has learned something since it last issued one.
    pub known: Option<Box<Known>>,
    pub site: Site,
}

/// The accumulators of one thread while products are on their way.
struct Shadow {
    d: *mut f32,
    values: Vec<f32>,
    /// The last group that uses them.
    group: u32,
}

/// Of one thread.
#[derive(Default)]
pub(super) struct Products {
    open: Vec<Record>,
    groups: VecDeque<Vec<Record>>,
    shadows: Vec<Shadow>,
    /// Groups committed, and done, so far.
    committed: u32,
    done: u32,
    /// When groups were done that the thread has not waited for.
    finished: VecDeque<(u32, Moment)>,
    /// Whether wgmma_fence came after the thread last had registers in hand that wgmma uses.
    fenced: bool,
    version: Option<(u64, u64)>,
}

impl Products {
    pub fn begin(&mut self) {
        if self.committed > 0 || self.fenced || !self.open.is_empty() {
            *self = Products::default();
        }
    }

    pub fn check_exit(&self) -> Result<(), String> {
        match self.open.is_empty() && self.shadows.is_empty() {
            true => Ok(()),
            false => Err("exited without wgmma_wait for its accumulators".into()),
        }
    }

    /// The oldest group, all of whose threads have committed it.
    pub fn take_group(&mut self) -> Vec<Record> {
        self.groups.pop_front().expect("committed")
    }

    pub fn finish_group(&mut self, moment: Moment) {
        self.finished.push_back((self.done, moment));
        self.done += 1;
    }

    /// What the accumulators at `d` truly hold.
    pub fn accumulators(&mut self, d: *mut f32) -> &mut [f32] {
        let shadow = self.shadows.iter_mut().find(|shadow| shadow.d == d);
        &mut shadow.expect("kept while products are on their way").values
    }

    /// Hides the accumulators, unless they are hidden already.
    ///
    /// # Safety
    /// `d` points to the thread's `n / 2` accumulators.
    unsafe fn hide(&mut self, Product { d, n, .. }: Product) -> Result<(), &'static str> {
        let (group, known) = (self.committed, self.shadows.iter_mut().find(|s| s.d == d));
        if let Some(shadow) = known {
            if shadow.values.len() != n as usize / 2 {
                return Err("the accumulators of another shape are on their way");
            }
            shadow.group = group;
            return Ok(());
        }
        if !self.fenced {
            return Err("no wgmma_fence since the thread last had the accumulators");
        }
        // SAFETY: the caller's promise.
        let registers = unsafe { slice::from_raw_parts_mut(d, n as usize / 2) };
        let values = registers.to_vec();
        registers.fill(f32::NAN);
        self.shadows.push(Shadow { d, values, group });
        Ok(())
    }

    /// Gives back what groups before `group` were the last to use.
    ///
    /// # Safety
    /// The accumulators that were hidden are still where they were.
    unsafe fn show(&mut self, group: u32) {
        let shadows = self.shadows.len();
        self.shadows.retain(|shadow| {
            let is_done = shadow.group < group;
            if is_done {
                // SAFETY: the caller's promise.
                let registers = unsafe { slice::from_raw_parts_mut(shadow.d, shadow.values.len()) };
                registers.copy_from_slice(&shadow.values);
            }
            !is_done
        });
        self.fenced &= self.shadows.len() == shadows;
    }
}

impl Block {
    fn current_products(&mut self) -> &mut Products {
        &mut self.products[self.current as usize]
    }

    /// # Safety
    /// `product` is what the current thread issues, with registers of its own.
    unsafe fn issue_product(&mut self, product: Product, site: Site) -> Result<(), &'static str> {
        let thread = self.current;
        if (thread / WARPGROUP + 1) * WARPGROUP > self.threads.len() as u32 {
            return Err("a warpgroup has four warps, whole ones");
        }
        let version = Some(self.clocks.version(thread));
        let is_new = self.products[thread as usize].version != version;
        let known = is_new.then(|| Box::new(self.clocks.known(thread)));
        let version = Some(self.clocks.version(thread));
        let products = self.current_products();
        products.version = version;
        // SAFETY: the caller's promise.
        unsafe {
            products.hide(product)?;
            let registers = product.a_registers.as_ref().copied();
            if registers.is_some() && !products.fenced {
                return Err("no wgmma_fence since the thread last had A's registers");
            }
            products.open.push(Record {
                product,
                registers,
                known,
                site,
            });
        }
        Ok(())
    }

    fn commit_products(&mut self) {
        let products = self.current_products();
        let group = std::mem::take(&mut products.open);
        products.groups.push_back(group);
        products.committed += 1;
        // The next group must say again what it knows: who comes first may be another.
        products.version = None;
        let (mine, warpgroup) = (products.committed, self.current / WARPGROUP);
        let first = (warpgroup * WARPGROUP) as usize;
        let threads = &self.products[first..first + WARPGROUP as usize];
        if threads.iter().all(|other| other.committed >= mine) {
            self.issue(Operation::Products { warpgroup });
        }
    }

    /// Whether at most `open` groups of the current thread are on their way; if so it has what the others
    /// made.
    ///
    /// # Safety
    /// On the current thread's own stack, where its accumulators are.
    unsafe fn products_are_done(&mut self, open: u32) -> Result<bool, &'static str> {
        let products = &mut self.products[self.current as usize];
        if !products.open.is_empty() {
            return Err("wgmma that no wgmma_commit has closed is not waited for");
        }
        let group = products.committed.saturating_sub(open);
        if products.done < group {
            return Ok(false);
        }
        // SAFETY: the caller's promise.
        unsafe { products.show(group) };
        while let Some(&(_, moment)) = products.finished.front().filter(|(g, _)| *g < group) {
            products.finished.pop_front();
            self.clocks.acquire_unit(self.current, moment);
        }
        Ok(true)
    }

    /// For reports: how many threads of the warpgroup have committed what `thread` waits for.
    pub fn describe_products(&self, thread: u32) -> String {
        let first = (thread / WARPGROUP * WARPGROUP) as usize;
        let wanted = self.products[thread as usize].committed;
        let threads = &self.products[first..first + WARPGROUP as usize];
        let committed = threads.iter().filter(|p| p.committed >= wanted).count();
        format!("{committed} of {WARPGROUP} threads have committed group {wanted}")
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_wgmma_fence() {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker. The same holds in every hook below.
    unsafe { (*worker).block.current_products().fenced = true }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_wgmma(product: *const Product, site: Site) {
    let worker = worker::current();
    // SAFETY: as above, with what is on the fiber's stack.
    unsafe {
        let issued = (*worker).block.issue_product(*product, site);
        issued.unwrap_or_else(|why| worker::fail(worker, format!("wgmma: {why}, at {site}")));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_wgmma_commit(site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        let threads = (*worker).block.threads.len() as u32;
        if ((*worker).block.current / WARPGROUP + 1) * WARPGROUP > threads {
            let why = "a warpgroup has four warps, whole ones";
            worker::fail(worker, format!("wgmma_commit: {why}, at {site}"));
        }
        (*worker).block.commit_products();
        worker::may_give_way(worker);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_wgmma_wait(open: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        worker::may_give_way(worker);
        loop {
            match (*worker).block.products_are_done(open) {
                Ok(true) => return,
                Ok(false) => worker::wait(worker, State::AtProducts { site }),
                Err(why) => worker::fail(worker, format!("{why}, at {site}")),
            }
        }
    }
}
