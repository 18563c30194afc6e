"""Django's Tasks interface on the job engine, for host projects that have installed `django-tasks`."""
