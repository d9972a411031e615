"""The schedules stream: scheduled jobs as they are made, changed and ended, and runs that did not happen."""
