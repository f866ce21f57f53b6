//! `deal_rows`: rows dealt out to hands like cards, one to each in turn. Not recorded.
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::DealRows},
    tensor::Element,
};

/// y of x (rows, ..) real, in whose place come the rows of the first hand, then of the second, ..: row
/// `hand rows / hands + i` of y is row `i hands + hand` of x. Dealing to `rows / hands` brings them back.
pub fn deal_rows(x: &Tensor, hands: usize) -> Result<Tensor> {
    let rows = x.dims()[0];
    assert!(
        hands > 0 && rows.is_multiple_of(hands),
        "deal_rows: {rows} rows to {hands} hands"
    );
    assert_eq!(x.element(), Element::Real, "deal_rows");
    let y = Tensor::uninit(x.device(), Element::Real, x.shape().clone())?;
    x.device().launch(DealRows {
        x: x.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        hands: hands as u32,
        width: (x.len() / rows) as u64,
    })?;
    Ok(y)
}

impl Kernel for DealRows {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements((self.rows as u64 * self.width).div_ceil(8))
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.rows as u64 * self.width
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, hands, width) = (self.rows as usize, self.hands as usize, self.width as usize);
        let x = memory.read::<f32>(self.x, rows * width);
        let y = memory.write::<f32>(self.y, rows * width);
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            let each = rows / hands;
            let from = row % each * hands + row / each;
            y.copy_from_slice(&x[from * width..][..width]);
        }
    }
}
