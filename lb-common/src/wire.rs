//! Wire headers.
