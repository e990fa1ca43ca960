"""Plan tiles, run the network, stitch."""
