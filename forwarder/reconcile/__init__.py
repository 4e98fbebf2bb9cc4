"""Whether everything arrived: what the logs showed against what each sink has, day by day, and why when it is less."""
