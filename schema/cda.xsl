<?xml version="1.0" encoding="UTF-8"?>
<!-- cda.xsl: a clinical document (HL7 CDA R2) as one page that a person reads: who, when, what, in French.
     Owns: the page's look.  Never: a script, a link that leaves the page, anything from elsewhere; no document(), no extension,
     no import. Everything of the document is put out as text; an image is one only as data of three types. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:h="urn:hl7-org:v3"
                xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" exclude-result-prefixes="h xsi">
  <xsl:output method="html" encoding="UTF-8" indent="no" doctype-system="about:legacy-compat"/>
  <xsl:key name="by-id" match="h:observationMedia | h:regionOfInterest" use="@ID"/>

  <xsl:template match="/">
    <xsl:variable name="d" select="(//h:ClinicalDocument)[1]"/>
    <xsl:choose>
      <xsl:when test="$d"><xsl:apply-templates select="$d"/></xsl:when>
      <xsl:otherwise><xsl:message terminate="yes">not a clinical document</xsl:message></xsl:otherwise>
    </xsl:choose>
  </xsl:template>

  <xsl:template match="h:ClinicalDocument">
    <xsl:variable name="title">
      <xsl:choose>
        <xsl:when test="normalize-space(h:title) != ''"><xsl:value-of select="normalize-space(h:title)"/></xsl:when>
        <xsl:otherwise><xsl:value-of select="h:code/@displayName"/></xsl:otherwise>
      </xsl:choose>
    </xsl:variable>
    <html lang="fr">
      <head>
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/>
        <meta name="referrer" content="no-referrer"/>
        <meta name="robots" content="noindex"/>
        <title><xsl:value-of select="$title"/></title>
        <style>
          body { font: 16px/1.45 sans-serif; color: #16202a; max-width: 64em; margin: 1.5em auto; padding: 0 1em }
          h1 { font-size: 1.6em; margin: 0 0 .4em } h2 { font-size: 1.2em; margin: 1.5em 0 .3em; color: #0b4f6c }
          h3, h4 { font-size: 1.05em; margin: 1em 0 .2em } table { border-collapse: collapse; margin: .4em 0 }
          th, td { text-align: left; vertical-align: top; padding: .25em .6em; border: 1px solid #c8d2da }
          th { background: #eef3f6 } .head { width: 100% } .head th { width: 12em } img { max-width: 100% }
          pre { white-space: pre-wrap; font: inherit } caption { text-align: left; font-weight: 600 } .none { color: #566 }
        </style>
      </head>
      <body>
        <h1><xsl:value-of select="$title"/></h1>
        <table class="head">
          <xsl:apply-templates select="h:recordTarget[1]/h:patientRole"/>
          <tr><th>Date</th><td><xsl:call-template name="time"><xsl:with-param name="t" select="h:effectiveTime/@value"/></xsl:call-template></td></tr>
          <xsl:for-each select="h:author/h:assignedAuthor"><tr><th>Auteur</th><td><xsl:apply-templates select="." mode="who"/></td></tr></xsl:for-each>
          <xsl:for-each select="h:legalAuthenticator/h:assignedEntity"><tr><th>Responsable</th><td><xsl:apply-templates select="." mode="who"/></td></tr></xsl:for-each>
          <xsl:for-each select="h:informationRecipient/h:intendedRecipient"><tr><th>Destinataire</th><td><xsl:apply-templates select="." mode="who"/></td></tr></xsl:for-each>
          <xsl:for-each select="h:documentationOf/h:serviceEvent[h:effectiveTime or h:code/@displayName]">
            <tr><th>Acte</th><td>
              <xsl:value-of select="h:code/@displayName"/>
              <xsl:if test="h:code/@displayName and h:effectiveTime">, </xsl:if>
              <xsl:apply-templates select="h:effectiveTime" mode="when"/>
            </td></tr>
          </xsl:for-each>
          <xsl:if test="h:custodian//h:name"><tr><th>Conservé par</th><td><xsl:value-of select="normalize-space(h:custodian//h:name)"/></td></tr></xsl:if>
          <xsl:if test="h:confidentialityCode[@code != 'N']"><tr><th>Confidentialité</th><td>
            <xsl:for-each select="h:confidentialityCode[@code != 'N']"><xsl:if test="position() &gt; 1">, </xsl:if>
              <xsl:value-of select="(@displayName | @code[not(../@displayName)])[1]"/></xsl:for-each></td></tr></xsl:if>
        </table>
        <xsl:apply-templates select="h:component/h:nonXMLBody/h:text" mode="whole"/>
        <xsl:apply-templates select="h:component/h:structuredBody/h:component/h:section"/>
        <xsl:if test="not(h:component/h:nonXMLBody/h:text | h:component/h:structuredBody/h:component/h:section)">
          <p class="none">Ce document n’a pas de contenu à lire.</p>
        </xsl:if>
      </body>
    </html>
  </xsl:template>

  <!-- who and when -->
  <xsl:template match="h:patientRole">
    <tr><th>Patient</th><td>
      <xsl:apply-templates select="h:patient/h:name[1]" mode="name"/>
      <xsl:if test="h:patient/h:birthTime/@value">
        <xsl:choose>
          <xsl:when test="h:patient/h:administrativeGenderCode/@code = 'F'">, née le </xsl:when>
          <xsl:when test="h:patient/h:administrativeGenderCode/@code = 'M'">, né le </xsl:when>
          <xsl:otherwise>, naissance </xsl:otherwise>
        </xsl:choose>
        <xsl:call-template name="time"><xsl:with-param name="t" select="h:patient/h:birthTime/@value"/></xsl:call-template>
      </xsl:if>
      <xsl:for-each select="h:id[@extension][1]">, n° <xsl:value-of select="@extension"/></xsl:for-each>
    </td></tr>
  </xsl:template>
  <xsl:template match="*" mode="who">
    <xsl:variable name="person" select="(h:assignedPerson | h:informationRecipient)[1]"/>
    <xsl:variable name="place" select="normalize-space((h:representedOrganization | h:receivedOrganization)[1]/h:name)"/>
    <xsl:choose>
      <xsl:when test="$person/h:name"><xsl:apply-templates select="$person/h:name[1]" mode="name"/></xsl:when>
      <xsl:when test="h:assignedAuthoringDevice"><xsl:value-of select="normalize-space((h:assignedAuthoringDevice/h:softwareName | h:assignedAuthoringDevice/h:manufacturerModelName)[1])"/></xsl:when>
    </xsl:choose>
    <xsl:if test="h:code/@displayName">, <xsl:value-of select="h:code/@displayName"/></xsl:if>
    <xsl:if test="$place != ''"><xsl:if test="$person/h:name or h:assignedAuthoringDevice">, </xsl:if><xsl:value-of select="$place"/></xsl:if>
  </xsl:template>
  <xsl:template match="h:name" mode="name">
    <xsl:choose>
      <xsl:when test="*">
        <xsl:for-each select="h:prefix"><xsl:value-of select="normalize-space(.)"/><xsl:text> </xsl:text></xsl:for-each>
        <xsl:value-of select="normalize-space((h:given[not(@qualifier)] | h:given)[1])"/><xsl:text> </xsl:text>
        <xsl:value-of select="normalize-space(h:family[1])"/>
        <xsl:if test="h:family[2] and normalize-space(h:family[2]) != normalize-space(h:family[1])"> (<xsl:value-of select="normalize-space(h:family[2])"/>)</xsl:if>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="normalize-space(.)"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template name="time">
    <xsl:param name="t"/>
    <xsl:variable name="n" select="string-length(substring-before(concat(translate($t, '-', '+'), '+'), '+'))"/>
    <xsl:if test="$n &gt;= 8"><xsl:value-of select="substring($t, 7, 2)"/>/</xsl:if>
    <xsl:if test="$n &gt;= 6"><xsl:value-of select="substring($t, 5, 2)"/>/</xsl:if>
    <xsl:value-of select="substring($t, 1, 4)"/>
    <xsl:if test="$n &gt;= 12"><xsl:text> </xsl:text><xsl:value-of select="substring($t, 9, 2)"/>:<xsl:value-of select="substring($t, 11, 2)"/></xsl:if>
  </xsl:template>
  <xsl:template match="h:effectiveTime" mode="when">
    <xsl:choose>
      <xsl:when test="h:low/@value or h:high/@value">
        <xsl:if test="h:low/@value">du <xsl:call-template name="time"><xsl:with-param name="t" select="h:low/@value"/></xsl:call-template></xsl:if>
        <xsl:if test="h:high/@value"> au <xsl:call-template name="time"><xsl:with-param name="t" select="h:high/@value"/></xsl:call-template></xsl:if>
      </xsl:when>
      <xsl:when test="@value"><xsl:call-template name="time"><xsl:with-param name="t" select="@value"/></xsl:call-template></xsl:when>
    </xsl:choose>
  </xsl:template>

  <!-- sections -->
  <xsl:template match="h:section">
    <xsl:variable name="title">
      <xsl:choose>
        <xsl:when test="normalize-space(h:title) != ''"><xsl:value-of select="normalize-space(h:title)"/></xsl:when>
        <xsl:otherwise><xsl:value-of select="h:code/@displayName"/></xsl:otherwise>
      </xsl:choose>
    </xsl:variable>
    <xsl:choose>
      <xsl:when test="ancestor::h:section/ancestor::h:section"><h4><xsl:value-of select="$title"/></h4></xsl:when>
      <xsl:when test="ancestor::h:section"><h3><xsl:value-of select="$title"/></h3></xsl:when>
      <xsl:otherwise><h2><xsl:value-of select="$title"/></h2></xsl:otherwise>
    </xsl:choose>
    <xsl:choose>
      <xsl:when test="h:text[normalize-space(.) != '' or .//h:renderMultiMedia]"><div><xsl:apply-templates select="h:text/node()"/></div></xsl:when>
      <xsl:when test="h:entry//*[h:code/@displayName or h:value]">
        <table><xsl:apply-templates select="h:entry//*[self::h:observation or self::h:act or self::h:procedure or self::h:substanceAdministration or self::h:supply]" mode="entry"/></table>
      </xsl:when>
      <xsl:when test="not(h:component/h:section)"><p class="none">Rien n’est écrit dans cette rubrique.</p></xsl:when>
    </xsl:choose>
    <!-- an image of the section that its text does not show -->
    <xsl:for-each select="h:entry//h:observationMedia[not(@ID) or not(//h:renderMultiMedia[contains(concat(' ', normalize-space(@referencedObject), ' '), concat(' ', current()/@ID, ' '))])]">
      <xsl:apply-templates select="h:value" mode="media"/>
    </xsl:for-each>
    <xsl:apply-templates select="h:component/h:section"/>
  </xsl:template>
  <!-- a section without words: what its entries say by themselves -->
  <xsl:template match="*" mode="entry">
    <xsl:if test="h:code/@displayName or h:value">
      <tr>
        <th><xsl:value-of select="h:code/@displayName"/></th>
        <td><xsl:for-each select="h:value"><xsl:if test="position() &gt; 1">, </xsl:if>
          <xsl:choose>
            <xsl:when test="@displayName"><xsl:value-of select="@displayName"/></xsl:when>
            <xsl:when test="@value"><xsl:value-of select="@value"/><xsl:text> </xsl:text><xsl:value-of select="@unit[. != '1']"/></xsl:when>
            <xsl:otherwise><xsl:value-of select="normalize-space(text())"/></xsl:otherwise>
          </xsl:choose></xsl:for-each></td>
        <td><xsl:apply-templates select="h:effectiveTime[1]" mode="when"/></td>
      </tr>
    </xsl:if>
  </xsl:template>

  <!-- the narrative block; what is unknown gives its words -->
  <xsl:template match="h:paragraph"><p><xsl:apply-templates/></p></xsl:template>
  <xsl:template match="h:br"><br/></xsl:template>
  <xsl:template match="h:sub"><sub><xsl:apply-templates/></sub></xsl:template>
  <xsl:template match="h:sup"><sup><xsl:apply-templates/></sup></xsl:template>
  <xsl:template match="h:footnote"><small> [<xsl:apply-templates/>]</small></xsl:template>
  <xsl:template match="h:content[@revised = 'delete']"/>
  <xsl:template match="h:content[contains(@styleCode, 'Bold')]"><b><xsl:apply-templates/></b></xsl:template>
  <xsl:template match="h:content[contains(@styleCode, 'Italics')]"><i><xsl:apply-templates/></i></xsl:template>
  <xsl:template match="h:content[contains(@styleCode, 'Underline')]"><u><xsl:apply-templates/></u></xsl:template>
  <xsl:template match="h:list">
    <xsl:if test="h:caption"><p><b><xsl:apply-templates select="h:caption/node()"/></b></p></xsl:if>
    <xsl:choose>
      <xsl:when test="@listType = 'ordered'"><ol><xsl:apply-templates select="h:item"/></ol></xsl:when>
      <xsl:otherwise><ul><xsl:apply-templates select="h:item"/></ul></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="h:item"><li><xsl:if test="h:caption"><b><xsl:apply-templates select="h:caption/node()"/></b><xsl:text> </xsl:text></xsl:if>
    <xsl:apply-templates select="node()[not(self::h:caption)]"/></li></xsl:template>
  <xsl:template match="h:table">
    <table>
      <xsl:if test="h:caption"><caption><xsl:apply-templates select="h:caption/node()"/></caption></xsl:if>
      <xsl:apply-templates select="h:thead | h:tbody | h:tfoot | h:tr"/>
    </table>
  </xsl:template>
  <xsl:template match="h:thead"><thead><xsl:apply-templates select="h:tr"/></thead></xsl:template>
  <xsl:template match="h:tbody"><tbody><xsl:apply-templates select="h:tr"/></tbody></xsl:template>
  <xsl:template match="h:tfoot"><tfoot><xsl:apply-templates select="h:tr"/></tfoot></xsl:template>
  <xsl:template match="h:tr"><tr><xsl:apply-templates select="h:th | h:td"/></tr></xsl:template>
  <xsl:template match="h:th"><th><xsl:call-template name="span"/><xsl:apply-templates/></th></xsl:template>
  <xsl:template match="h:td"><td><xsl:call-template name="span"/><xsl:apply-templates/></td></xsl:template>
  <xsl:template name="span">
    <xsl:if test="@colspan &gt; 1 and @colspan &lt; 100"><xsl:attribute name="colspan"><xsl:value-of select="floor(@colspan)"/></xsl:attribute></xsl:if>
    <xsl:if test="@rowspan &gt; 1 and @rowspan &lt; 1000"><xsl:attribute name="rowspan"><xsl:value-of select="floor(@rowspan)"/></xsl:attribute></xsl:if>
  </xsl:template>

  <!-- images -->
  <xsl:template match="h:renderMultiMedia">
    <xsl:variable name="this" select="."/>
    <xsl:for-each select="key('by-id', substring-before(concat(normalize-space($this/@referencedObject), ' '), ' '))">
      <xsl:apply-templates select="descendant-or-self::h:observationMedia/h:value" mode="media"/>
    </xsl:for-each>
    <xsl:if test="h:caption"><p><i><xsl:apply-templates select="h:caption/node()"/></i></p></xsl:if>
  </xsl:template>
  <xsl:template match="*" mode="media">
    <xsl:choose>
      <xsl:when test="@representation = 'B64' and not(@compression) and (@mediaType = 'image/png' or @mediaType = 'image/jpeg' or @mediaType = 'image/gif')">
        <p><img alt="image du document"><xsl:attribute name="src">data:<xsl:value-of select="@mediaType"/>;base64,<xsl:value-of
          select="translate(normalize-space(.), ' ', '')"/></xsl:attribute></img></p>
      </xsl:when>
      <xsl:otherwise><p class="none">Une pièce jointe (<xsl:value-of select="@mediaType"/>) est dans le fichier XML.</p></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="h:text" mode="whole">
    <xsl:choose>
      <xsl:when test="@representation = 'B64'"><xsl:apply-templates select="." mode="media"/></xsl:when>
      <xsl:otherwise><pre><xsl:value-of select="."/></pre></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
</xsl:stylesheet>
