//! Work that was issued and is not done: what the copy engine and the tensor cores do beside the threads,
//! at a moment of the schedule's choosing, at once or as late as can be.
use super::{
    copy_engine::{Load, Store, Write},
    schedule::{Pick, Policy, Random},
    worker::Worker,
};

/// One piece of it.
pub(super) enum Operation {
    Load(Box<Load>),
    /// A store reads first and writes later.
    Store(Box<Store>),
    Write(Box<Write>),
    /// The oldest group of wgmma of a warpgroup.
    Products {
        warpgroup: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Load,
    Store,
    Products,
}

impl Operation {
    fn kind(&self) -> Kind {
        match self {
            Operation::Load(_) => Kind::Load,
            Operation::Store(_) | Operation::Write(_) => Kind::Store,
            Operation::Products { .. } => Kind::Products,
        }
    }

    /// The error names the thread that asked for it.
    pub fn complete(self, worker: &mut Worker) -> Result<(), (u32, String)> {
        match self {
            Operation::Load(load) => load.complete(worker),
            Operation::Store(store) => store.complete(worker),
            Operation::Write(write) => write.complete(worker),
            Operation::Products { warpgroup } => worker.multiply(warpgroup),
        }
    }
}

#[derive(Default)]
pub(super) struct Flight {
    operations: Vec<Operation>,
    /// Those that the schedule holds back.
    late: Vec<Operation>,
}

impl Flight {
    pub fn begin(&mut self) {
        self.operations.clear();
        self.late.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.late.is_empty()
    }

    pub fn push(&mut self, operation: Operation, policy: &Policy) {
        match policy.held_back == Some(operation.kind()) {
            true => self.late.push(operation),
            false => self.operations.push(operation),
        }
    }

    /// What takes place now, if anything does; something must where no thread can go on.
    pub fn draw(
        &mut self,
        policy: &Policy,
        random: &mut Random,
        threads_can: bool,
    ) -> Option<Operation> {
        if self.is_empty() || (threads_can && !random.hits(policy.unit_first)) {
            return None;
        }
        let from = match self.operations.is_empty() {
            true if threads_can => return None,
            true => &mut self.late,
            false => &mut self.operations,
        };
        let at = match policy.unit_pick {
            Pick::Newest => from.len() - 1,
            Pick::Oldest => 0,
            Pick::Any => random.below(from.len()),
        };
        Some(from.remove(at))
    }
}
