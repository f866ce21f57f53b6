//! Batches' memory, used again: fresh pages of the system's cost more than a twentieth of what decoding
//! and cutting a batch of many crops costs.
use std::fmt;
use std::mem::take;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that go back to where they are from when they are dropped.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Vec<Vec<u8>>>>);

/// Pixels on a [`Shelf`]'s loan; a clone has memory of its own.
pub struct Pixels {
    bytes: Vec<u8>,
    from: Option<Shelf>,
}

impl Shelf {
    /// `len` bytes of any content: zeros or an earlier batch's.
    pub fn lend(&self, len: usize) -> Pixels {
        let mut idle = self.idle();
        let fitting = idle.iter().position(|bytes| bytes.len() == len);
        let bytes = fitting.map(|at| idle.swap_remove(at));
        drop(idle); // fresh memory is made while others lend
        Pixels {
            bytes: bytes.unwrap_or_else(|| vec![0; len]),
            from: Some(self.clone()),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(shelf) = &self.from {
            shelf.idle().push(take(&mut self.bytes));
        }
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Pixels {
        Pixels {
            bytes: self.bytes.clone(),
            from: None,
        }
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Pixels) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_again_once_it_is_back_and_only_where_it_fits() {
        let shelf = Shelf::default();
        let (first, second) = (shelf.lend(100), shelf.lend(100));
        let at = first.as_ptr();
        assert_ne!(at, second.as_ptr());
        let copy = first.clone();
        drop(first);
        assert_ne!(shelf.lend(50).as_ptr(), at);
        assert_eq!(shelf.lend(100).as_ptr(), at);
        drop(copy); // not the shelf's
        assert_eq!(shelf.idle().len(), 2, "one of 50 and one of 100 bytes");
    }
}
