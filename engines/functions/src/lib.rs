//! The functions engine: registry, versions and aliases, admission, instances, scaling, invoking.
