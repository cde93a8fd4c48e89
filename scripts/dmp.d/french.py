"""french.py: what the extension, the import, the verification and the system say, in French; the names of codes.
Owns: the words, as data. Never: a file, a record, a question. A new error code of the extension gets its sentence in FRENCH."""
import errno, re

PROFESSIONS = [('10', 'Médecin'), ('21', 'Pharmacien'), ('60', 'Infirmier'), ('40', 'Chirurgien-dentiste'),
               ('39', 'Préparateur en pharmacie')]
KINDS = {'authority': 'autorité d’enregistrement', 'professional': 'professionnel', 'patient': 'patient', 'representative': 'représentant légal',
         'source': 'alimentation automatique', 'team': 'équipe', 'staff': 'secrétariat ou interprète'}
CHANGES = {'registered': 'enregistré·e', 'changed': 'changé·e', 'renewed': 'nouvelle clé', 'revoked': 'révoqué·e', 'restored': 'rétabli·e', 'refused': 'REFUSÉ : ne continue pas le précédent'}
TYPES = [('11488-4', 'Compte rendu de consultation'), ('57833-6', 'Ordonnance'), ('11502-2', 'Examens biologiques'),
         ('18748-4', 'Imagerie'), ('34112-3', 'Compte rendu d’hospitalisation'), ('11490-0', 'Lettre de sortie'),
         ('60591-5', 'Synthèse médicale'), ('60593-1', 'Dispensation de médicaments'),
         ('11369-6', 'Historique de vaccinations'), ('89601-9', 'Certificat médical'), ('EXPPAT_3', 'Directives anticipées'), ('51851-4', 'Document administratif')]
GROUNDS = [('parent', 'Titulaire de l’autorité parentale'), ('tuteur_mineur', 'Tuteur d’un mineur'), ('tuteur', 'Tuteur d’un majeur protégé'),
           ('curateur', 'Curateur'), ('habilitation', 'Habilitation familiale'), ('mandataire', 'Mandataire')]
RECIPIENTS = [('patient', 'Le patient'), ('representant', 'Un représentant du patient'), ('professionnel', 'Un professionnel qui prend en charge le patient'),
              ('avocat', 'Un avocat'), ('justice', 'Une juridiction'), ('hebergeur', 'Un autre hébergeur')]
SECTIONS = {'prescription': 'Prescription', 'reimbursement': 'Remboursement'}   # the record's tables of lines
# What the extension says, by the number of its code. One that is not here is shown in the extension's own words.
FRENCH = {
    1: 'il n’y a plus de mémoire',
    2: 'le système ne donne pas de nombres au hasard ; rien n’est écrit',
    3: 'la mémoire des secrets ne peut pas être verrouillée : augmentez la limite (ulimit -l) et recommencez',
    4: 'ce dossier demande un processeur qui a les instructions AES : ouvrez-le sur une autre machine',
    5: 'le fichier a été modifié ou abîmé : une valeur scellée ne se vérifie pas. Restaurez-le, ou lancez dmp verify',
    6: 'le fichier a été coupé ou modifié : une valeur scellée n’a pas sa longueur. Restaurez-le, ou lancez dmp verify',
    7: 'une valeur scellée a un format inconnu : elle a été modifiée, ou écrite par une version plus récente',
    8: 'une ligne scellée ne se lit pas : elle a été écrite par une version plus récente ou par un logiciel fautif',
    9: 'le fichier de clé ne s’ouvre pas : vérifiez son chemin et vos droits',
    10: 'ce n’est pas un fichier de clé, ou il est abîmé : prenez-en une copie',
    11: 'code faux pour cette clé',
    12: 'un fichier existe déjà à cet endroit : une clé n’est jamais écrasée',
    13: 'la clé ne peut pas être écrite : vérifiez le dossier et la place qui reste',
    14: 'un code a au moins 8 caractères',
    15: 'cette clé demande un calcul hors des limites : elle a été modifiée',
    16: 'le journal des accès ne s’ouvre pas : sans lui, aucune donnée n’est montrée',
    17: 'le journal des accès ne peut pas être écrit : sans lui, aucune donnée n’est montrée',
    18: 'le journal des accès n’est pas celui de ce dossier, ou il est abîmé : lancez dmp verify',
    19: 'ce fichier ne contient pas de dossier partagé',
    20: 'ce dossier a été fait par une version plus récente : prenez-la',
    21: 'ce fichier contient déjà un dossier partagé',
    22: 'une table de ce fichier porte déjà un nom qu’il faut au dossier : prenez un autre fichier',
    23: 'aucune session n’est ouverte',
    24: 'des fichiers temporaires seraient écrits en clair : ouvrez le dossier par dmp sql, qui l’évite',
    25: 'le schéma du fichier a été modifié : une table, une vue ou un index touche au dossier. Retirez-le et recommencez',
    26: 'ce processus a été dédoublé après la connexion : reconnectez-vous',
    27: 'cette clé appartient à un autre dossier',
    28: 'l’empreinte de l’autorité manque ou diffère : reprenez celle de votre invitation',
    29: 'cette clé n’est pas encore enregistrée : l’autorité doit lancer dmp enrol sur votre demande',
    30: 'un certificat ne se vérifie pas : il est faux, modifié, ou signé par qui n’en a pas le droit. Restaurez le fichier, ou lancez dmp verify',
    31: 'le fichier d’ancre (nom du dossier suivi de -anchor) manque à côté du dossier',
    32: 'le fichier d’ancre est trop court pour ce dossier : restaurez sa copie la plus récente',
    33: 'le fichier d’ancre est celui d’un autre dossier',
    34: 'un jeu de clés ne se vérifie pas : il est faux, ou signé par qui n’en a pas le droit. Restaurez le fichier, ou lancez dmp verify',
    35: 'un jeu de clés manque ou est plus ancien que celui que votre clé a vu : une vieille copie a été remise. Restaurez le fichier le plus récent',
    36: 'un accord ne se vérifie pas : il est faux, ou donné par qui n’en a pas le droit. Restaurez le fichier, ou lancez dmp verify',
    37: 'les clés de ce patient ont changé et l’envoi des nouvelles manque : le fichier a été modifié ou remis. Restaurez le fichier le plus récent',
    38: 'des éléments manquent, sont en double ou ont été remis d’une vieille copie. Restaurez le fichier, ou lancez dmp verify',
    39: 'la signature de qui a déposé un élément ne se vérifie pas : il est faux ou modifié. Restaurez le fichier, ou lancez dmp verify',
    40: 'le contenu d’un document est incomplet ou modifié. Restaurez le fichier, ou lancez dmp verify',
    41: 'aucun élément de ce nom pour vous (dmp list dit ce que vous voyez)',
    42: 'votre clé ne permet pas cela : demandez-le à qui le peut (le patient, son médecin traitant, l’autorité)',
    43: 'aucun patient de ce nom pour vous : enregistrez-le, ou demandez son accord',
    44: 'cette personne n’est pas dans ce dossier : l’autorité l’enregistre (dmp enrol)',
    45: 'le patient n’a pas donné son accord : il le donne avec sa clé (dmp consent)',
    46: 'seuls le patient et le médecin traitant peuvent faire cela : recommencez avec la clé de l’un d’eux (--key FICHIER)',
    47: 'seul le patient peut faire cela : recommencez avec sa clé (--key FICHIER)',
    48: 'seul qui a déposé un document peut le supprimer',
    49: 'cette table ou cette colonne ne se modifie pas',
    50: 'une valeur n’est pas du bon type',
    51: 'il manque une valeur obligatoire',
    52: 'ce code n’est pas dans sa liste',
    53: 'date impossible, ou mal écrite (1970-01-31 ; une date de naissance peut être 1970 ou 1970-03)',
    54: 'l’INS est mal écrit ou sa clé est fausse',
    55: 'une valeur est trop grande',
    56: 'cet élément existe déjà',
    57: 'un nouveau patient a besoin d’un fichier de clé et d’un code',
    58: 'la demande est abîmée ou sa signature est fausse',
    59: 'ce genre de personne ne peut pas encore être enregistré',
    60: 'le dossier contient quelque chose que seule une version plus récente comprend : prenez-la',
    61: 'un texte n’est pas de l’UTF-8, ou contient un caractère nul',
    62: 'ce document est déjà masqué',
    64: 'une autre personne vient de modifier le dossier : recommencez',
    65: 'les arguments de cette fonction sont faux',
    66: 'option inconnue, ou valeur fausse : --help dit les options de la commande',
    67: 'un dossier est un fichier sur un disque',
    68: 'SQLite est trop ancien : il faut la version 3.40 ou une plus récente',
    69: 'cette date est passée, ou ce droit a pris fin',
    70: 'le fichier est abîmé : il manque la ligne du dossier, un certificat ou une table',
    71: 'cette opération se fait seule : terminez l’autre d’abord',
    72: 'l’accès du médecin traitant prend fin quand le patient change de médecin traitant',
    73: 'une opération s’est arrêtée à mi-chemin, rien n’est écrit : recommencez',
    74: 'un médecin traitant est un médecin enregistré (profession 10)',
    75: 'il faut un INS, un nom, ou un identifiant local',
    76: 'la description d’une table protégée ne se vérifie pas : elle est fausse ou modifiée',
    77: 'vous n’avez pas la clé de cette table : qui l’a peut la donner (dmp readers TABLE --add) ; celle du patient de la ligne vient de son consentement',
    78: 'seule une table ordinaire de cette base se protège, et sous son nom exact : ni une vue, ni une table virtuelle, ni une table du dossier partagé',
    79: 'ces colonnes ne sont pas dans la table, ou y sont nommées deux fois',
    80: 'cette table est déjà protégée',
    81: 'une colonne à sceller sert à une clé, un index, une colonne calculée, une clé étrangère, un déclencheur ou une vue : '
        'retirez cela d’abord',
    82: 'cette table n’est pas protégée',
    83: 'la table sert en ce moment : fermez ce qui la lit ou l’écrit, et recommencez',
    84: 'le trousseau du noyau ne peut pas servir ici : donnez le code à chaque fois',
    85: 'cette clé n’est pas déverrouillée : donnez son code',
    86: 'la table a quelque chose qu’une table protégée ne peut pas garder : retirez cela d’abord',
    87: 'un index sur cette colonne scellée trahirait ses valeurs, car on compterait celles qui sont égales : laissez-la hors de --index',
    88: 'ce document n’est pas encore annoncé au patient : annoncez-le avant de le montrer aux représentants',
    90: 'la dernière personne qui a la clé d’une table ne peut pas la perdre, plus personne ne lirait : donnez d’abord la clé à quelqu’un, ou ôtez la protection',
    91: 'plus personne n’a la clé de cette table : restaurez le fichier d’une sauvegarde',
    92: 'la clé de cette table a changé et la ligne qui apporte la nouvelle manque : le fichier a été modifié, ou remis d’une vieille copie',
    93: 'la ligne qui donne la clé d’une table protégée ne se vérifie pas : elle est fausse ou modifiée ; qui a la clé la donne à nouveau',
    94: 'un document se cache au patient ou à ses représentants quand on le dépose, ou jamais : ce qu’ils ont pu voir ne se reprend pas',
    95: 'à ce titre un représentant l’est jusqu’à la majorité : le patient est majeur, ou sa date de naissance manque',
    96: 'un document ne peut pas être à la fois invisible du patient et masqué aux professionnels : personne ne pourrait plus l’annoncer',
    97: 'une autre bibliothèque SQLite de ce programme se sert déjà de dmp : à deux sur un fichier, leurs verrous se perdent ; n’en gardez qu’une',
    98: 'un déclencheur écrit dans sa propre table protégée et pourrait se relancer lui-même : qui tient le programme le limite par UPDATE OF',
    99: 'seul qui a déposé un document l’annonce au patient',
    100: 'seul le patient, ou pour un mineur son médecin traitant, désigne et retire un représentant',
    101: 'on ne cache pas un document à soi-même',
    103: 'ce document est masqué avec son épisode : démasquez l’épisode (dmp unmask --episode)',
    104: 'le patient n’a pas ouvert son dossier à cette alimentation automatique',
    105: 'ce document appartient déjà à un épisode : refusez d’abord celui-là (dmp episodes --refuse)',
    106: 'une alimentation automatique est enregistrée par l’autorité (dmp join --source) ; on l’ouvre ou on la ferme (dmp feeds --on, --off)',
    107: 'une proposition d’épisode s’accepte ou se refuse (dmp episodes --accept, --refuse)',
    108: 'le journal des certificats n’est pas celui que cette clé a vu : des certificats ont été coupés, remplacés, ou repris d’une ancienne copie. Restaurez le fichier le plus récent ; si l’ancien a été remis exprès, supprimez le fichier qui porte le nom de la clé suivi de -seen',
    109: 'ce certificat a été révoqué, ou remplacé par un autre qui a une nouvelle clé : ouvrez avec la nouvelle clé, ou adressez-vous à l’autorité',
    110: 'une nouvelle clé doit être signée par l’ancienne : faites la demande avec l’ancienne (dmp renew) ; sans elle, cette version ne sait pas la remplacer',
    111: 'le patient a bloqué cette personne, ou un membre de cette équipe : il lève d’abord le blocage (dmp unblock), ce qui ne rend rien, puis donne un nouvel accord (dmp consent)',
    112: 'assureurs, employeurs et médecine du travail n’ont pas de certificat qui permette de lire',
    120: 'on masque à un professionnel, à une équipe, à une profession ou au médecin traitant (dmp mask-to les montre)',
    121: 'seul le patient masque quelque chose à son médecin traitant : recommencez avec sa clé (--key FICHIER)',
    122: 'qui a déposé un document le garde : il ne peut pas lui être masqué',
    123: 'c’est déjà masqué à cette personne ou à cette profession',
    124: 'trop de masques à des personnes différentes pour ce patient : masquez aux mêmes personnes, ou levez-en (dmp unmask-to)',
    113: 'la liste des membres d’une équipe ne se vérifie pas, ou une ligne y manque : le fichier a été modifié ou remplacé. Restaurez le fichier le plus récent',
    114: 'la liste des membres d’une équipe est plus ancienne que celle qui a déjà été vue : le fichier a été modifié ou remplacé. Restaurez le fichier le plus récent',
    115: 'le secret d’une équipe dont vous êtes membre manque : le fichier a été modifié ; un responsable de l’équipe le redonne',
    116: 'seul un responsable de l’équipe peut faire cela ; l’autorité en nomme un là où il n’y en a pas',
    117: 'cette personne a le droit de lire moins que le rôle de l’équipe : on entre dans une équipe dont le rôle est couvert par sa profession',
    118: 'personne ne quitte une équipe ni sa responsabilité tout seul : un autre responsable s’en charge',
    119: 'cette équipe n’a pas encore de clé, ou doit en changer : un de ses responsables doit d’abord se connecter',
    125: 'aucun export n’est fait pour un tel destinataire (assureur, employeur, santé au travail) : la loi les écarte, même avec l’accord du patient',
    126: 'cette page n’est pas signée, ou elle a été modifiée après sa signature',
    130: 'une vue nomme les documents qu’elle montre (dmp show DOCUMENT…)',
    131: 'une vue prend fin d’elle-même : dans 31 jours au plus',
    155: 'cette clé n’ouvre plus rien dans ce dossier : elle a pris fin, une autre l’a remplacée, ou une vieille copie du fichier a été remise. Demandez à qui vous l’a donnée',
    170: 'une transaction écrit au plus 65536 lignes du journal : validez toutes les quelques milliers de lignes, puis continuez',
    200: 'le programme de DMP_ASKPASS n’a donné aucun code : il l’écrit sur sa première ligne',
    201: 'le nouveau certificat d’un patient est signé d’abord par qui enregistre les patients, puis par l’autorité',
}
COLUMNS = {'birth_name': 'nom de naissance', 'used_name': 'nom utilisé', 'given_names': 'prénoms',
           'sex': 'sexe', 'ins': 'INS',
           'birth_date': 'date de naissance', 'birth_place': 'lieu de naissance', 'treating_doctor': 'médecin traitant',
           'pin': 'code', 'credential': 'clé', 'title': 'titre', 'type_code': 'type', 'class_code': 'classe', 'confidentiality': 'confidentialité', 'ground': 'titre', 'recipient': 'destinataire', 'status': 'état',
           'act_code': 'acte', 'code': 'produit', 'content': 'contenu', 'mime': 'format',
           'profession': 'profession', 'identifier': 'numéro RPPS', 'name': 'nom', 'until': 'date de fin',
           'local_system': 'qui donne l’identifiant local', 'local_value': 'identifiant local'}
PLACES = {'access log': 'journal des accès', 'access log block': 'journal des accès, bloc', 'dmp_object': 'éléments',
          'dmp_chunk of object': 'contenu de l’élément', 'dmp_wrap': 'clés des éléments', 'dmp_state': 'états',
          'dmp_certificate': 'annuaire', 'dmp_grant': 'accords', 'dmp_keyset': 'jeux de clés'}
# What is said without a code: by the verification, by the import, by SQLite.
SENTENCES = {
    'a view or trigger that reaches the table is not among those that were signed: remove it, or sign them with dmp_protect(table)':
        'une vue ou un déclencheur qui atteint la table n’est pas de ceux qui ont été signés : retirez-le, ou signez-les (dmp protect TABLE)',
    'the table\'s key is being turned: dmp_rotate(table) goes on with it': 'la clé de la table est en train de changer : dmp rotate TABLE continue',
    'what was written before may still lie in pages that are free: dmp_scrub() removes it':
        'ce qui a été écrit avant peut rester dans des pages libres : dmp scrub l’efface',
    'the table that holds the rows is missing or was altered': 'la table qui contient les lignes manque ou a été modifiée',
    'the row was written without a line in the access log, or by somebody who may not':
        'la ligne a été écrite sans trace dans le journal des accès, ou par qui n’en a pas le droit',
    'the row is not the one that the access log says was written last: altered, dropped or put back':
        'la ligne n’est pas la dernière que dit le journal des accès : modifiée, retirée ou remise d’une vieille copie',
    'the access log says that an older row was put back':
        'selon le journal des accès, une ligne plus ancienne a été remise',
    'a certificate of the directory does not verify': 'un certificat de l’annuaire ne se vérifie pas',
    'first grants that did not prove were found in the inbox and dropped':
        'des accords sans preuve ont été trouvés et écartés',
    'an entry of the hosting is missing, or was not signed by the authority':
        'une ligne de l’hébergement manque, ou l’autorité ne l’a pas signée',
    'no line of the access log says that this document was deposited':
        'aucune ligne du journal ne dit que ce document a été déposé',
    'the access log says that somebody else deposited this document: it was replaced':
        'selon le journal, une autre personne a déposé ce document : il a été remplacé',
    'the document\'s row makes no sense: it is shown to nobody':
        'la fiche du document est incohérente : il n’est montré à personne',
    'the item lies in another rights class than its type asks for':
        'l’élément n’est pas rangé dans la classe de droits de son type',
    'an amendment is not signed by the depositor: it is ignored':
        'une modification n’est pas signée par qui a déposé l’élément : elle est ignorée',
    'a deposit key of the keyset is not the one that its compartment\'s key derives':
        'une clé de dépôt n’est pas celle de son compartiment',
    'lines of the access log were written by somebody else than they name':
        'des lignes du journal ont été écrites par une autre personne que celle qu’elles nomment',
    'a document was deposited and is not there any more': 'un document a été déposé et n’est plus là',
    'a representative\'s time is over: the keys he held are to be turned at the patient\'s next login':
        'un représentant ne l’est plus : ses clés seront changées à la prochaine connexion du patient',
    'the keys of a rights class are to be turned at the patient\'s next login':
        'des clés seront changées à la prochaine connexion du patient',
    'one or more blocks are missing here': 'il manque ici un ou plusieurs blocs',
    'the block is cut or malformed': 'le bloc est coupé ou mal formé',
    'the block belongs to another record': 'le bloc appartient à un autre dossier',
    'the block was altered: its writer\'s signature does not verify':
        'le bloc a été modifié : sa signature ne se vérifie pas',
    'the block does not follow the one before it: one of them was altered or moved, or a block was removed':
        'le bloc ne suit pas celui d’avant : l’un des deux a été modifié ou déplacé, ou un bloc a été retiré',
    'the block is out of its writer\'s order: one was removed, doubled or moved':
        'le bloc n’est pas à son rang : un bloc a été retiré, doublé ou déplacé',
    'a line of the block is missing from the index': 'une ligne du bloc manque dans l’index',
    'the index has a line that this block does not have': 'l’index a une ligne que ce bloc n’a pas',
    'the head of a writer is missing, or names a block that is not the writer\'s last':
        'la fin des écritures d’une personne manque, ou n’est pas son dernier bloc',
    'the log\'s file is damaged after this block': 'le fichier du journal est abîmé après ce bloc',
    'the file can\'t be read': 'le fichier ne se lit pas',
    'the program that parses (dmp-parse) can\'t be started or failed':
        'le programme de lecture (dmp-parse) ne démarre pas, ou a échoué',
    'the file made the parser do something forbidden: it was stopped':
        'la lecture du fichier a tenté une action interdite : elle a été arrêtée',
    'the file takes too long to parse': 'la lecture du fichier dure trop longtemps',
    'identity without INS: deposit it by hand in the patient\'s record':
        'identité sans INS : déposez-le à la main (dmp deposit)',
    'the document names two different INS': 'le document porte deux INS différents',
    'the INS is malformed: it has 13 characters and a key of 2 digits':
        'l’INS est mal écrit : 13 caractères et une clé de 2 chiffres',
    'the key of the INS is wrong (97 minus the rest of the number divided by 97): correct the identity at its source':
        'la clé de l’INS est fausse : faites corriger l’identité à sa source',
    'the document lacks a trait of identity: birth name, given names, birth date and sex are needed':
        'il manque un trait d’identité : nom de naissance, prénoms, date de naissance et sexe sont nécessaires',
    'unknown to you: register the patient, or ask for the patient\'s consent':
        'patient inconnu de vous : demandez son accord, ou ajoutez --create-patients',
    'a patient of yours has this number in another domain of INS (real, test): settle the identity first':
        'un de vos patients a ce numéro dans un autre domaine d’INS (réel, test) : réglez d’abord l’identité',
    'two of your patients have this INS: settle their identity first':
        'deux de vos patients ont cet INS : réglez d’abord leur identité',
    'another document stands under this identifier with another content: an identifier belongs to one content':
        'un autre document porte déjà cet identifiant, avec un autre contenu',
    'the document has no identifier': 'le document n’a pas d’identifiant',
    'the document has no type code': 'le document n’a pas de code de type',
    'the document has no date, or one that is impossible or gives no day':
        'le document n’a pas de date, ou elle est impossible',
    'the document does not say how confidential it is': 'le document ne dit pas sa confidentialité',
    'the document has a confidentiality that is not known: it might ask to be hidden':
        'la confidentialité du document est inconnue : il demande peut-être à être caché',
    'masked for professionals and hidden from the patient at once is forbidden':
        'masqué aux professionnels et caché au patient à la fois : c’est interdit',
    'the file is empty': 'le fichier est vide',
    'this is not an XML document': 'ce n’est pas un document XML',
    'the XML is not well formed, or the file is cut': 'le XML est mal formé, ou le fichier est coupé',
    'the file\'s encoding is unknown, or its bytes are not in the encoding it declares':
        'l’encodage du fichier est inconnu ou faux',
    'the file declares entities or attribute rules in a DOCTYPE: documents need none, attacks do':
        'le fichier déclare des entités (DOCTYPE) : un document n’en a pas besoin, une attaque si',
    'this XML is not a clinical document (ClinicalDocument in urn:hl7-org:v3)':
        'ce XML n’est pas un document médical CDA',
    'the file holds more than one clinical document': 'le fichier contient plusieurs documents médicaux',
    'the document names more than one patient': 'le document nomme plusieurs patients',
    'the XML is nested too deeply': 'le XML est imbriqué trop profondément',
    'the file or one of its parts is too large': 'le fichier, ou une de ses parties, est trop grand',
    'the document\'s body is not valid base64': 'le corps du document est mal encodé (base64)',
    'the document needs more memory than a parser is given': 'la lecture du document demande trop de mémoire',
    'the document has no body': 'le document n’a pas de corps',
    'no random numbers, or out of memory': 'le système ne donne pas de nombres au hasard, ou plus de mémoire',
    'out of memory': 'il n’y a plus de mémoire',
    'the body is not of the type it declares': 'le corps n’est pas du type qu’il déclare',
    'files attached inside the document are kept in it, not shown on their own':
        'les fichiers joints au document y restent, sans être montrés à part',
    'the body lies outside of the file or is compressed: it is kept, not shown':
        'le corps est hors du fichier ou compressé : il est gardé, sans être montré',
    'a file attached inside the document is not valid base64': 'un fichier joint au document est mal encodé (base64)',
    'the birth place could not be compared': 'le lieu de naissance n’a pas pu être comparé',
    'a date of the act is impossible or gives no day, and was left out':
        'une date de l’acte est impossible : elle est laissée de côté',
    'a later version that does not name the one it replaces: both stand':
        'une nouvelle version qui ne dit pas laquelle elle remplace : les deux restent',
    'it replaces a document that is not here for you': 'il remplace un document qui n’est pas ici pour vous',
    'the type code is in no line of the rights matrix: only the patient and you can read it':
        'ce type n’est pas dans la matrice des droits : seuls le patient et vous pouvez le lire',
    'the key of this test INS is wrong': 'la clé de cet INS de test est fausse',
    'file is not a database': 'ce fichier n’est pas une base de données',
    'unable to open database file': 'le fichier ne s’ouvre pas : vérifiez son chemin et vos droits sur son dossier',
    'database is locked': 'une autre personne écrit dans le dossier : recommencez',
    'attempt to write a readonly database': 'vous n’avez pas le droit d’écrire dans ce fichier',
    'disk I/O error': 'le disque ne répond pas comme il faut',
    'database or disk is full': 'il n’y a plus de place sur le disque',
    'database disk image is malformed': 'le fichier est abîmé : restaurez-le',
}
TRAIT = re.compile(r'the INS is known but a trait differs \((.*)\): settle the identity first')
TRAITS = {'birth name': 'nom de naissance', 'given names': 'prénoms', 'birth date': 'date de naissance', 'sex': 'sexe',
          'birth place': 'lieu de naissance'}
# What stands in the way, at the end of a refusal to protect: SQL's own words stay.
OBSTACLES = [(r'^a CHECK of a sealed column names (.*), which a foreign key changes$', r'un CHECK d’une colonne scellée nomme \1, qu’une clé étrangère change'),
             (r'^a CHECK of a sealed column: ', 'un CHECK d’une colonne scellée : '),
             (r'^column (\w+): generated$', r'colonne \1, calculée'), (r'^column (\w+): ', r'colonne \1 : '), (r'^a trigger: ', 'un déclencheur : '), (r'^trigger (\S+): ', r'déclencheur \1 : '),
             (r': UPDATE OF of trigger (.*)', r': UPDATE OF du déclencheur \1'), (r': REFERENCES in table (.*)', r': REFERENCES dans la table \1'),
             (r'^column (\w+) names the patient$', r'la colonne \1 désigne le patient'),
             (r'^a foreign key that changes column (\w+), which names the patient$', r'une clé étrangère qui change la colonne \1, qui désigne le patient'),
             (r'^column (\w+) has a name that an index needs$', r'un index a besoin du nom de la colonne \1'),
             (r'^trigger (.*) changes the table again; .*', r'le déclencheur \1 écrit à nouveau dans la table ; UPDATE OF des colonnes qu’il laisse n’est pas dans ce cas'),
             (r', unless index= names the column$', ', à moins que --index ne nomme la colonne'), (r': virtual table (.*)', r': table virtuelle \1'),
             (r'^it refers to table (.*), which was protected later: .*', r'elle renvoie à la table \1, protégée après elle : ôtez d’abord la protection de celle-là'),
             (r'^a quotation mark in the name of the table$', 'un guillemet dans le nom de la table'),
             (r'fewer than 20 different values$', 'moins de 20 valeurs différentes'),
             (r'one value in more than 5 % of the rows$', 'une valeur dans plus de 5 % des lignes'),
             (r'more than 100 rows a value$', 'plus de 100 lignes par valeur'),
             (r'^ON CONFLICT in table (.*)', r'ON CONFLICT dans la table \1'),
             (r'^REFERENCES (.*) without a column in table (.*)', r'REFERENCES \1 sans colonne, dans la table \2')]
NAMING = (43, 44, 52, 66, 78, 79)                             # codes whose sentence ends with a name of the practice's own
SYSTEM = {errno.ENOENT: 'n’existe pas', errno.EACCES: 'accès refusé', errno.EPERM: 'opération refusée',
          errno.EEXIST: 'existe déjà',
          errno.EISDIR: 'est un dossier, pas un fichier', errno.ENOTDIR: 'un élément du chemin n’est pas un dossier',
          errno.ENOSPC: 'il n’y a plus de place sur le disque', errno.EROFS: 'ce disque ne s’écrit pas',
          errno.EDQUOT: 'votre quota est atteint', errno.EIO: 'le disque ne répond pas comme il faut',
          errno.ENAMETOOLONG: 'le nom est trop long',
          errno.ENOTCONN: 'est un montage dont le pilote est mort : fusermount3 -u',
          errno.ESTALE: 'n’est plus là', errno.ENOTEMPTY: 'n’est pas vide', errno.ENOEXEC: 'n’est pas un programme'}
# The exit codes of dmpfs, in fewer words than its own; 8, what this machine lacks, has those.
MOUNTING = {3: 'le dossier ne s’ouvre pas', 4: 'ce n’est pas un dossier partagé, ou il est d’une autre version',
            5: 'la clé ne s’ouvre pas', 6: 'le code est faux ou manque', 7: 'le point de montage ne convient pas',
            9: 'dmp.so manque ou ne convient pas', 10: 'le dossier, son journal ou son ancre sont abîmés : dmp verify',
            11: 'le système n’a plus de mémoire ou de processus', 12: 'la disposition (layout) ne convient pas'}


def code_of(error):
    """The number that begins a sentence of the extension, or None."""
    found = re.match(r'dmp-E(\d+): ', str(error))
    return found and int(found[1])


def in_french(text):
    """Any sentence of the extension, the import, the verification or SQLite; what is unknown stays as it is."""
    code, column = code_of(text), re.search(r' \(column (\w+)(?:; (.*))?\)$', text)
    trait, obstacle = TRAIT.fullmatch(text), re.search(r'(?:that first|index=) \((.*)\)$', text)
    if code in (81, 86, 87) and obstacle:
        return 'dmp-E%03d : %s (%s)' % (code, FRENCH[code], obstacle_text(obstacle[1]))
    kind = re.search(r' \(it is (\w+); needed: ([\w, ]+)\)$', text)
    if code == 44 and kind:
        return 'dmp-E044 : cette personne n’est pas du genre qu’il faut ici : %s (il faut : %s)' % (KINDS.get(kind[1], kind[1]), ', '.join(KINDS.get(k, k) for k in kind[2].split(', ')))
    named = re.search(r' \(([^()]*)\)$', text)
    if code in NAMING and named and not column:
        return 'dmp-E%03d : %s (%s)' % (code, FRENCH[code], naming_text(named[1]))
    if code in FRENCH:
        return 'dmp-E%03d : %s%s' % (code, FRENCH[code], ' (%s%s)' % (COLUMNS.get(column[1], column[1]), codes_text(column[2])) if column else '')
    if trait:
        return 'l’INS est connu mais un trait diffère (%s) : réglez d’abord l’identité' % TRAITS.get(trait[1], trait[1])
    return SENTENCES.get(text, text)


NAMED = [(r'^(\S+) row (-?\d+)$', r'\1, ligne \2'), (r'^there is no table (.*)', r'il n’y a pas de table \1'), (r'^this is a view: (.*)', r'\1 est une vue'),
         (r'^this is no table: (.*)', r'\1 n’est pas une table'),
         (r'^this is a virtual table: (.*)', r'\1 est une table virtuelle'), (r'^this is a table of the record or of SQLite: (.*)', r'\1 est une table du dossier ou de SQLite'),
         (r'^(\S+): that column is not to be sealed$', r'\1 : cette colonne n’est pas à sceller'), (r'^this holds the rows of a protected table: (.*)', r'\1 contient les lignes d’une table protégée'),
         (r'(\S+) twice$', r'\1, deux fois'), (r'^none is named$', 'aucune n’est nommée'), (r'; schema/', ' ; la liste : schema/'),
         (r'^type and system go with patient$', 'type et system vont avec patient'),
         (r'^index and patient: .*', 'index et patient : un index serait sous une même clé pour tous les patients')]


def naming_text(text):
    """What a refusal names, behind its sentence."""
    for english, french in NAMED:
        text = re.sub(english, french, text)
    return text


def codes_text(codes):
    """What a column takes."""
    if not codes:
        return ''
    return ' ; %s%s' % ('la liste : ' if '.tsv' in codes else '', codes.replace(', or ', ', ou ').replace(' or ', ' ou ').replace('^system', '^système'))


def obstacle_text(text):
    """Obstacles stand one behind the other, with semicolons between."""
    out = []
    for part in re.split(r'; (?=column |trigger \S+: |a trigger: )', text):
        for english, french in OBSTACLES:
            part = re.sub(english, french, part)
        out.append(part)
    return ' ; '.join(out)


def finding_text(place, row, patient, what):
    return '%s%s%s : %s' % (PLACES.get(place, place), ', ligne %d' % row if row else '',
                            ', patient n° %d' % patient if patient else '', in_french(what))


def several(n, what, many=None):
    """1 document, 2 documents; many: a plural that does not end in s."""
    return '%d %s' % (n, what if n < 2 else many or ' '.join(w + 's' for w in what.split()))
