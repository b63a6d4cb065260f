//! Reading little-endian numbers and lengths from bytes that may be anything. Never panics, never
//! trusts a length.

/// Bytes ended before they should, or went on after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cut short or damaged")]
pub(crate) struct Cut;

/// Bytes being read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Cut> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Cut> {
        self.take(N)?.try_into().map_err(|_| Cut)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Cut> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Cut> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Cut> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes after their length in 32 bits.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Cut> {
        let count = self.u32()?;
        self.take(usize::try_from(count).map_err(|_| Cut)?)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Cut> {
        std::str::from_utf8(self.counted()?).map_err(|_| Cut)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Cut> {
        if self.is_empty() { Ok(()) } else { Err(Cut) }
    }
}

/// Adds bytes after their length.
pub(crate) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("callers keep to `FRAME_MAX`");
    out.extend(length.to_le_bytes());
    out.extend_from_slice(bytes);
}
