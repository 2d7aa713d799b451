"""Fixed points: searched for, proven, counted, described."""
