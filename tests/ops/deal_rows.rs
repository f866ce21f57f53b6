use crate::check::*;
use proptest::prelude::*;
use selfsame::{Tensor, ops::deal_rows};

proptest! {
    #![proptest_config(cases(10))]
    #[test]
    fn conforms(hands in 1usize..9, each in 1usize..9, width in 1usize..70, seed: u64) {
        let x = noise(seed, hands * each * width);
        conform_within(0.0, 0.0, |device| {
            let x = Tensor::from_slice(device, [hands * each, width], &x)?;
            Ok(vec![deal_rows(&x, hands)?])
        });
    }

    /// Each hand has every `hands`-th row, and dealing to as many hands as there were rows in one undoes it.
    #[test]
    fn deals_in_turn_and_back(hands in 1usize..9, each in 1usize..9, seed: u64) {
        let x = noise(seed, hands * each);
        let rows = Tensor::from_slice(&cpu(), [hands * each, 1], &x).unwrap();
        let dealt = deal_rows(&rows, hands).unwrap();
        for (at, &y) in dealt.to_vec().unwrap().iter().enumerate() {
            prop_assert_eq!(y, x[at % each * hands + at / each]);
        }
        prop_assert_eq!(deal_rows(&dealt, each).unwrap().to_vec().unwrap(), x);
    }
}
