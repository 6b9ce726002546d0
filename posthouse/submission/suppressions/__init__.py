"""The suppression list over HTTP: who is on it, who is put on and taken off, as a file and back; and the trail."""
