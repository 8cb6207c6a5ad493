//! The front door: sockets, TLS, connections, request ids, body limits, drain; hands each request to a surface.
