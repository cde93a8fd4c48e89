"""dmp_django: Django's backend for SQLite (3.2 to 4.2) on a database with protected tables. In settings.py, with this folder's parent in sys.path:
    DATABASES = {'default': {'ENGINE': 'dmp_django', 'NAME': 'cabinet.db',
                             'OPTIONS': {'dmp': '/usr/local/lib/dmp/dmp.so', 'dmp_key': 'martin.dmpkey'}}}
Owns: what each new connection is told; which habits Django leaves: RETURNING and UPSERT on tables, copying one in a migration.
Never: sees a PIN; the session opens with `dmp unlock` or $DMP_ASKPASS. Without dmp_key nobody is logged in."""
from django.db.backends.sqlite3 import base, features, schema
from django.db.utils import NotSupportedError


class DatabaseFeatures(features.DatabaseFeatures):
    # From Django 4.0 on SQLite is asked for ids by RETURNING, which on a protected table is NULL, silently.
    can_return_columns_from_insert = False
    can_return_rows_from_bulk_insert = False
    supports_update_conflicts = False
    supports_update_conflicts_with_target = False


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    def _remake_table(self, model, *args, **kwargs):
        """A migration that copies a table would leave a plain one in its place."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT sql LIKE 'CREATE VIRTUAL TABLE%%' FROM sqlite_master WHERE name = %s", [model._meta.db_table])
            if (cursor.fetchone() or [0])[0]:
                raise NotSupportedError('%s is protected: dmp_unprotect, migrate, dmp_protect' % model._meta.db_table)
        super()._remake_table(model, *args, **kwargs)


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
    SchemaEditorClass = DatabaseSchemaEditor

    def get_new_connection(self, conn_params):
        extension, key = conn_params.pop('dmp'), conn_params.pop('dmp_key', None)
        connection = super().get_new_connection(conn_params)
        connection.enable_load_extension(True)
        connection.load_extension(extension)
        connection.enable_load_extension(False)
        connection.execute('PRAGMA temp_store=MEMORY')
        if key:
            connection.execute('SELECT dmp_login(?)', (key,)).fetchone()
        return connection
