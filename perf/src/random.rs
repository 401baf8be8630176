//! A seeded source of numbers: the same seed gives the same load on every machine.
//!
//! The generator is xoshiro256** (Blackman and Vigna, public domain), seeded through splitmix64 so that neighbouring seeds give
//! unrelated streams. Nothing here is fit for secrets.

/// One stream of numbers. Each worker owns its own, derived from the run's seed and the worker's number.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut s = seed;
        let state = std::array::from_fn(|_| {
            s = s.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (s ^ (s >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// The stream number `index` of this seed.
    #[must_use]
    pub fn stream(seed: u64, index: u64) -> Self {
        Self::new(Self::new(seed).next_u64() ^ index.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0..bound`, or 0 where the bound is 0. The bias of the multiplication is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponential with mean 1: the gap between the arrivals of a Poisson process of rate 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Fills the slice with bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Draws from a Zipf law over `1..=n`: `P(k)` in proportion to `k^-s`.
///
/// Rejection inversion (Hörmann and Derflinger 1996): constant time and no table, whatever `n` is.
#[derive(Clone, Debug)]
pub struct Zipf {
    exponent: f64,
    n: f64,
    area_first: f64,
    area_all: f64,
    shortcut: f64,
}

impl Zipf {
    /// The law with this exponent (above 0) over `n` (at least 1) keys.
    #[must_use]
    pub fn new(exponent: f64, n: u64) -> Self {
        let mut zipf =
            Self { exponent, n: n as f64, area_first: 0.0, area_all: 0.0, shortcut: 0.0 };
        zipf.area_first = zipf.integral(1.5) - 1.0;
        zipf.area_all = zipf.integral(zipf.n + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// The next key, in `1..=n`.
    pub fn sample(&self, random: &mut Random) -> u64 {
        loop {
            let u = self.area_all + random.unit() * (self.area_first - self.area_all);
            let x = self.inverse(u);
            let k = x.round().clamp(1.0, self.n);
            if k - x <= self.shortcut || u >= self.integral(k + 0.5) - self.density(k) {
                return k as u64;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the density from 1 to `x`, stable near exponent 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let t = (1.0 - self.exponent) * log;
        let growth = if t.abs() > 1e-8 { t.exp_m1() / t } else { 1.0 + t / 2.0 };
        growth * log
    }

    fn inverse(&self, area: f64) -> f64 {
        let t = (area * (1.0 - self.exponent)).max(-1.0);
        let log = if t.abs() > 1e-8 { t.ln_1p() / t } else { 1.0 - t / 2.0 };
        (log * area).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_stream() {
        let take = |mut r: Random| [r.next_u64(), r.next_u64()];
        assert_eq!(take(Random::new(7)), take(Random::new(7)));
        assert_ne!(take(Random::new(7)), take(Random::new(8)));
        assert_ne!(take(Random::stream(7, 0)), take(Random::stream(7, 1)));
    }

    #[test]
    fn uniform_and_exponential_have_their_means() {
        let mut random = Random::new(1);
        let n = 100_000;
        let mean = |sum: f64| sum / f64::from(n);
        let unit = mean((0..n).map(|_| random.unit()).sum());
        assert!((unit - 0.5).abs() < 0.01, "{unit}");
        let gap = mean((0..n).map(|_| random.exponential()).sum());
        assert!((gap - 1.0).abs() < 0.02, "{gap}");
        assert!((0..1000).all(|_| random.below(10) < 10));
    }

    #[test]
    fn zipf_follows_its_law() {
        for exponent in [0.5, 1.0, 1.3] {
            let (zipf, mut random) = (Zipf::new(exponent, 100), Random::new(3));
            let mut seen = [0_u32; 101];
            for _ in 0..200_000 {
                seen[zipf.sample(&mut random) as usize] += 1;
            }
            let weight: f64 = (1..=100).map(|k| f64::from(k).powf(-exponent)).sum();
            for k in [1_u32, 2, 10] {
                let expected = 200_000.0 * f64::from(k).powf(-exponent) / weight;
                let got = f64::from(seen[k as usize]);
                assert!(
                    (got - expected).abs() < expected * 0.1,
                    "s={exponent} k={k}: {got} vs {expected}"
                );
            }
        }
    }
}
