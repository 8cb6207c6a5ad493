//! The process driver: a jail, a runtime described by one file, and the Runtime API make one instance.
