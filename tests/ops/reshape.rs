use crate::check::*;
use proptest::prelude::*;
use selfsame::{Tape, Tensor, Var, ops::reshape};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn gradient(n in 1usize..9, c in 1usize..9, seed in 0u64..1 << 40) {
        let x = Tensor::from_slice(&cpu(), [3 * n, c], &noise(seed, 3 * n * c)).unwrap();
        assert_gradient(&[x], seed, |tape, v| reshape(tape, &v[0], [n, 3 * c]));
    }
}

#[test]
fn the_same_memory_under_other_dimensions() {
    for device in devices() {
        let x = Tensor::from_slice(&device, [6, 2], &noise(1, 12)).unwrap();
        let y = reshape(&mut Tape::default(), &Var::constant(x.clone()), [2, 3, 2]).unwrap();
        assert_eq!((y.value.dims(), y.value.ptr()), (&[2, 3, 2][..], x.ptr()));
        assert_eq!(y.value.to_vec().unwrap(), noise(1, 12));
    }
}

#[test]
#[should_panic(expected = "reshaped")]
fn as_many_elements() {
    let x = Tensor::from_slice(&cpu(), [6], &[0.0; 6]).unwrap();
    let _ = reshape(&mut Tape::default(), &Var::constant(x), [5]);
}
