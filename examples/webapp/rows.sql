-- Run by PostgreSQL's image once, when its volume is still empty.
CREATE TABLE rows (id integer PRIMARY KEY, text text NOT NULL);
INSERT INTO rows VALUES (1, 'a row from PostgreSQL');
