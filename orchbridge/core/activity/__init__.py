"""The activity stream: who did what in one of the console's services, told from a list without ids."""
