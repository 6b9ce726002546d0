"""What a mail is. Pure: no I/O, no clock, no await; times and chance come in as arguments."""
