//! What our bootstraps do with handlers, tried without any isolation.

mod nodejs;
mod python;
mod support;
