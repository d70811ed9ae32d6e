"""What is generated for the site (`make docs`) and the README: tables from reports/, the configuration, the services and `make help`."""
