"""What a served model does with requests, and the forms it is served in."""
