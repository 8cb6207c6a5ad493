//! The AWS edge: HTTP in, one typed operation out.
