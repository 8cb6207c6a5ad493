//! The edge under /_dormouse/: health, metrics, and the admin API that the CLI talks.
