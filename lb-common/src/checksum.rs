//! One's complement arithmetic.
