"""One file per dataset; loading, splitting, caching and mixing are written once, on manifests."""
