//! Requests that a filter is to hear of again.

/// So many are awaited at once; of more the oldest are forgotten. Envoy numbers them one after the other.
const MOST: usize = 4096;

/// What is kept of requests under way, each at its number's place: some are never heard of again.
#[derive(Debug)]
pub struct Awaited<T>(Box<[Option<(u32, T)>]>);

impl<T> Default for Awaited<T> {
    fn default() -> Self {
        Self((0..MOST).map(|_| None).collect())
    }
}

impl<T> Awaited<T> {
    /// Keeps something of a request; what is forgotten for it, if anything is.
    pub fn put(&mut self, request: u32, kept: T) -> Option<T> {
        let place = self.0.get_mut(request as usize % MOST)?;
        place.replace((request, kept)).map(|(_, forgotten)| forgotten)
    }

    /// What was kept of a request.
    pub fn take(&mut self, request: u32) -> Option<T> {
        let place = self.0.get_mut(request as usize % MOST)?;
        place.take_if(|(kept, _)| *kept == request).map(|(_, kept)| kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_put_last_at_a_place() {
        let mut awaited = Awaited::default();
        assert_eq!((awaited.put(1, 'a'), awaited.put(2, 'b')), (None, None));
        assert_eq!(awaited.put(1 + MOST as u32, 'c'), Some('a'));
        assert_eq!((awaited.take(1), awaited.take(1 + MOST as u32), awaited.take(2), awaited.take(2)), (None, Some('c'), Some('b'), None));
    }
}
