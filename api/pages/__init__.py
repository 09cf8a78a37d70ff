"""The web pages: templates without any data of a user, and the files they load."""
