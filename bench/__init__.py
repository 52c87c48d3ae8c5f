"""What things cost, each beside the same thing without Portico, in one run. `make bench` writes bench/results.md."""
