"""records.proto, the contract of the records service, and the code that `make proto` writes from it."""
