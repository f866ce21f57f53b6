use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    device::Real,
    ops::{l2_normalize, normalize_rows::normalize_rows},
    tensor::Element,
};

/// Rows, columns, and a matrix of that shape.
fn matrices() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    (1usize..8, 1usize..600)
        .prop_flat_map(|(rows, cols)| (Just(rows), Just(cols), values(rows * cols)))
}

proptest! {
    #![proptest_config(cases(12))]
    /// The f32 values are equal on all devices; their copy is rounded where real is bf16.
    #[test]
    fn conforms((rows, cols, x) in matrices()) {
        for copied in [false, true] {
            conform_within(1e-5, if copied { 1.0 } else { 1.28e-3 }, |device| {
                let values = Tensor::from_f32(device, [rows, cols], &x)?;
                let reals = Tensor::uninit(device, Element::Real, [rows, cols])?;
                normalize_rows(&values, copied.then_some(&reals))?;
                Ok(if copied { vec![values, reals] } else { vec![values] })
            });
        }
    }

    #[test]
    fn is_l2_normalize_in_place((rows, cols, x) in matrices()) {
        let values = Tensor::from_f32(&cpu(), [rows, cols], &x).unwrap();
        let expected = l2_normalize::forward(&values.as_real()).unwrap().0;
        normalize_rows(&values, None).unwrap();
        prop_assert_eq!(values.to_vec().unwrap(), expected.to_vec().unwrap());
    }

    /// The copy is what copying would make of the values, and the values of a part are that part's alone.
    #[test]
    fn the_copy_follows((rows, cols, x) in matrices()) {
        for device in devices() {
            let all = Tensor::from_f32(&device, [rows + 2, cols], &[&x[..], &vec![5.0; 2 * cols]].concat()).unwrap();
            let values = all.rows(0, rows);
            let reals = Tensor::uninit(&device, Element::Real, [rows, cols]).unwrap();
            normalize_rows(&values, Some(&reals)).unwrap();
            let mut expected = values.to_vec().unwrap();
            if device.real() == Real::Bf16 {
                expected.iter_mut().for_each(|v| *v = rounded(*v));
            }
            prop_assert_eq!(reals.to_vec().unwrap(), expected);
            prop_assert_eq!(all.rows(rows, 2).to_vec().unwrap(), vec![5.0; 2 * cols]);
        }
    }
}

/// A row of zeros stays zero; 3, 4 has length 5.
#[test]
fn a_row_of_zeros_and_one_of_length_five() {
    let values = Tensor::from_f32(&cpu(), [2, 2], &[0.0, 0.0, 3.0, -4.0]).unwrap();
    normalize_rows(&values, None).unwrap();
    assert_close(
        "rows",
        &values.to_vec().unwrap(),
        &[0.0, 0.0, 0.6, -0.8],
        1e-6,
    );
}
