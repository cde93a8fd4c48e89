"""dmp_sqlalchemy: SQLAlchemy 1.4 or 2 on a database with protected tables.
    engine = dmp_sqlalchemy.create_engine('sqlite:///cabinet.db', '/usr/local/lib/dmp/dmp.so', 'martin.dmpkey')
Owns: what each new connection is told, and that no statement asks a protected table for RETURNING, which SQLite answers with NULL for
ids and defaults that were drawn, silently: SQLAlchemy's own are left out, one of the program is refused. Never: sees a PIN; the session opens with `dmp unlock` or $DMP_ASKPASS."""
import sqlalchemy


def create_engine(url, extension, key=None, **options):
    """key: a credential's file, or the handle of dmp_unlock(); without it nobody is logged in."""
    engine = sqlalchemy.create_engine(url, **options)
    # SQLAlchemy 2 takes RETURNING where SQLite has it; 1.4 does not know these names and asks last_insert_rowid() anyway.
    for habit in ('insert_returning', 'update_returning', 'delete_returning', 'use_insertmanyvalues'):
        setattr(engine.dialect, habit, False)

    @sqlalchemy.event.listens_for(engine, 'connect')
    def connected(connection, _):
        connection.enable_load_extension(True)
        connection.load_extension(extension)
        connection.enable_load_extension(False)
        connection.execute('PRAGMA temp_store=MEMORY')
        if key:
            connection.execute('SELECT dmp_login(?)', (key,)).fetchone()

    @sqlalchemy.event.listens_for(engine, 'before_cursor_execute')
    def asked(connection, cursor, statement, parameters, context, many):
        if getattr(context.compiled, 'effective_returning', None):
            table = context.compiled.statement.table.name
            cursor.execute("SELECT sql LIKE 'CREATE VIRTUAL TABLE%' FROM sqlite_master WHERE name = ?", (table,))
            if (cursor.fetchone() or [0])[0]:
                raise sqlalchemy.exc.CompileError('RETURNING on %s, which is protected: read lastrowid, or SELECT' % table)
    return engine
