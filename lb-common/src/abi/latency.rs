//! How long handshakes take: when they began, and histograms by backend.

/// Latencies by powers of two of nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many were at most [`Self::bound`] of their index and more than that of the one before; the last one has all others.
    pub counts: [u64; Self::BUCKETS],
    /// Sum of all in nanoseconds, to 1024.
    pub nanos: u64,
}

impl Histogram {
    /// Buckets: 20 with a bound, and one for what is above.
    pub const BUCKETS: usize = 21;
    /// log2 of the lowest bound in nanoseconds: 16.4 microseconds. The highest is 8.59 seconds.
    const LOWEST: u32 = 14;

    /// The bound of a bucket in nanoseconds; `None`: that of the last one.
    #[must_use]
    pub const fn bound(bucket: usize) -> Option<u64> {
        if bucket + 1 < Self::BUCKETS { Some(1 << (Self::LOWEST + bucket as u32)) } else { None }
    }

    /// The bucket of a latency in units of [`Stamp::UNIT_SHIFT`].
    #[inline(always)]
    #[must_use]
    pub const fn bucket(units: u32) -> usize {
        let bits = u32::BITS - units.saturating_sub(1).leading_zeros();
        let bucket = bits.saturating_sub(Self::LOWEST - Stamp::UNIT_SHIFT) as usize;
        if bucket < Self::BUCKETS { bucket } else { Self::BUCKETS - 1 }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Adds a latency in units of [`Stamp::UNIT_SHIFT`].
    pub fn add(&mut self, units: u32) {
        self.counts[Self::bucket(units)] += 1;
        self.nanos += u64::from(units) << Stamp::UNIT_SHIFT;
    }

    /// The latency that a share of all (0 to 1) does not exceed, in nanoseconds: as Prometheus' `histogram_quantile` has it, evenly spread
    /// within a bucket. What is in the last bucket counts as its lower bound. `None`: there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * count as f64;
        let (mut below, mut start) = (0_u64, 0_u64);
        for (bucket, inside) in self.counts.iter().enumerate() {
            let Some(end) = Self::bound(bucket) else { break };
            if *inside > 0 && (below + inside) as f64 >= wanted {
                let part = ((wanted - below as f64) / *inside as f64).clamp(0.0, 1.0);
                return Some(start + ((end - start) as f64 * part) as u64);
            }
            below += inside;
            start = end;
        }
        Some(start)
    }
}

/// What the data path measured of a backend, counted by all CPUs. Only handshakes of TCP count here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// From the first SYN that was sent to it to its SYN-ACK.
    pub handshake: Histogram,
    /// From its SYN-ACK to the client's ACK.
    pub rtt: Histogram,
}

/// What is measured.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// [`Latencies::handshake`].
    Handshake = 0,
    /// [`Latencies::rtt`].
    Rtt = 1,
}

/// When a handshake came to its present stage. All handshakes share a table of these by hash: an element is of the one that took it
/// until that one is answered or has waited for [`Self::PATIENCE`].
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Whose it is: the flow's hash, with the stage in its lowest bit; 0: nobody's.
    pub tag: u32,
    /// `CLOCK_MONOTONIC` in units of [`Self::UNIT_SHIFT`]; wraps after 73 minutes.
    pub since: u32,
}

impl Stamp {
    /// A unit of time is `1 << UNIT_SHIFT` nanoseconds: about a microsecond.
    pub const UNIT_SHIFT: u32 = 10;
    /// Units after which another handshake may take the element: 4.3 seconds. Most SYNs that nobody answers are of a flood.
    pub const PATIENCE: u32 = 1 << 22;
    /// Units after which a handshake is no longer the same one, whatever the tag: 69 seconds, the time in which Linux repeats a SYN.
    pub const LIFETIME: u32 = 1 << 26;

    /// The present time for a stamp.
    #[inline(always)]
    #[must_use]
    pub const fn time(nanos: u64) -> u32 {
        (nanos >> Self::UNIT_SHIFT) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_at_most_their_bound() {
        for (bucket, bound) in (0..Histogram::BUCKETS).map(|bucket| (bucket, Histogram::bound(bucket))) {
            let Some(bound) = bound else {
                assert_eq!(bucket, Histogram::BUCKETS - 1);
                break;
            };
            let units = (bound >> Stamp::UNIT_SHIFT) as u32;
            assert_eq!(
                (Histogram::bucket(units), Histogram::bucket(units + 1)),
                (bucket, bucket + 1),
                "{bound}"
            );
        }
        assert_eq!((Histogram::bucket(0), Histogram::bucket(u32::MAX)), (0, Histogram::BUCKETS - 1));
        assert_eq!((Histogram::bound(0), Histogram::bound(19)), (Some(16_384), Some(8_589_934_592)));
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_where_its_share_is() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        // 90 of about 100 microseconds, 10 of about 3 milliseconds.
        (0..90).for_each(|_| histogram.add(100));
        (0..10).for_each(|_| histogram.add(3000));
        assert_eq!((histogram.count(), histogram.nanos), (100, (90 * 100 + 10 * 3000) << 10));
        let quantile = |share| histogram.quantile(share).unwrap();
        assert!((65_536..=131_072).contains(&quantile(0.5)), "{}", quantile(0.5));
        assert_eq!(quantile(0.9), 131_072);
        assert!((2_097_152..=4_194_304).contains(&quantile(0.99)), "{}", quantile(0.99));
        assert!(quantile(0.0) <= quantile(0.5) && quantile(0.5) < quantile(0.99));
    }

    #[test]
    fn what_is_beyond_the_last_bound_counts_as_that() {
        let mut histogram = Histogram::default();
        histogram.add(u32::MAX);
        assert_eq!(histogram.quantile(0.5), Histogram::bound(Histogram::BUCKETS - 2));
    }
}
